"""How the requests of one served thing are read and answered on the hot path, thought out once instead of each time.

A plan reads what clients usually send and leaves the rest to `oip`; both give the same answer, or the plan gives none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from everloop.kernel.usecase import Json
from everloop.registry.columns import MatrixColumns
from everloop.server.inference import oip
from everloop.server.inference.tensors import MALFORMED, columns_of
from everloop.serving.together import Columns, rows_of

if TYPE_CHECKING:
    from everloop.server.inference.served import Answered, Served

_Data = list[float | list[float | None] | None]
_KNOWN = {"binary_data_output", "timeout"}
"""The parameters of a request that the hot path understands."""
_SENT = {"FP64": "float64", "INT64": "int64", "BYTES": "string"}
"""The datatypes of lists that need no thought, and the types of the inputs that they are."""
_DATATYPES = {np.dtype("<f8"): b"FP64", np.dtype("<i8"): b"INT64"}
_encode = msgspec.json.Encoder().encode


class _Tensor(msgspec.Struct, gc=False):
    name: str
    shape: list[int]
    datatype: str
    data: _Data | msgspec.UnsetType = msgspec.UNSET
    parameters: dict[str, Json] | msgspec.UnsetType = msgspec.UNSET


class _Column(msgspec.Struct, gc=False):
    name: str
    shape: list[int]
    datatype: str
    data: list[str | int | float | None]


class _Asked(msgspec.Struct, gc=False):
    id: str = ""
    outputs: list[oip.Wish] = []
    parameters: dict[str, Json] = {}


class _Request(_Asked, gc=False, kw_only=True):
    inputs: list[_Tensor]


class _Columns(_Asked, gc=False, kw_only=True, forbid_unknown_fields=True):
    inputs: list[_Column]


_requests = msgspec.json.Decoder(_Request)
_listed = msgspec.json.Decoder(_Columns)


@dataclass(eq=False, slots=True)
class Asking:
    """A request as the plan read it. `timeout` is how many seconds the client waits, 0 for as long as it takes."""

    columns: Columns
    rows: int
    id: str
    wishes: Sequence[oip.Wish] = ()
    binary: bool = False
    timeout: float = 0.0


class Plan:
    """Reads requests for one served thing, and writes its answers. It holds as long as `inputs` are what they were."""

    def __init__(self, served: Served) -> None:
        self.served = served
        self.inputs = served.inputs
        self._names = tuple(field.name for field in self.inputs)
        self._known = frozenset(self._names)
        self._doubles = all(field.type == "float64" and not field.shape for field in self.inputs)
        self._types = {field.name: field.type for field in self.inputs if not field.shape}
        self._outputs = frozenset(field.name for field in served.outputs)
        self._starts: dict[str, bytes] = {}

    def read(self, body: bytes, end: int) -> Asking | None:
        """A request whose JSON ends at `end`; None where only the whole door can tell what is wrong with it."""
        if not self._doubles and end == len(body):
            listed = self._read_columns(body)
            if listed is not None:
                return listed
        try:
            request = _requests.decode(body if end == len(body) else body[:end])
        except MALFORMED:
            return self._read_slowly(body, end)
        columns = self._matrix(request.inputs, body, end)
        if columns is None:
            return self._read_slowly(body, end)
        return self._asking(columns, len(columns.matrix), request)

    def write(self, answered: Answered, asking: Asking) -> tuple[bytes, int]:
        """The body of a response, and where its JSON ends, 0 where there is no more than that.

        Raises:
            InvalidInput: an output that should be JSON holds bytes that are no text.
        """
        if not (asking.wishes or answered.beside):
            form = _binary if asking.binary else _output
            parts = [form(name, values) for name, values in answered.values.items()]
            if all(parts):
                start = self._starts.get(answered.model_version) or self._start(answered.model_version)
                end = b'],"id":' + _encode(answered.id) + b"}" if answered.id else b"]}"
                head = start + b",".join(parts) + end
                if not asking.binary:
                    return head, 0
                return b"".join((head, *(memoryview(values) for values in answered.values.values()))), len(head)  # type: ignore[arg-type]  # `_binary` takes arrays alone.
        response = oip.InferResponse(self.served.name, answered.model_version, [], answered.id)
        return oip.encode(response, answered.all, oip.with_beside(asking.wishes, answered.beside), asking.binary)

    def _start(self, version: str) -> bytes:
        if len(self._starts) > 64:
            self._starts.clear()
        name = _encode(self.served.name)
        start = b'{"model_name":' + name + b',"model_version":' + _encode(version) + b',"outputs":['
        return self._starts.setdefault(version, start)

    def _read_columns(self, body: bytes) -> Asking | None:
        """A request that has a plain list for each input, of texts or numbers as its type is; None for all others."""
        try:
            request = _listed.decode(body)
        except MALFORMED:
            return None
        columns: dict[str, np.ndarray] = {}
        for tensor in request.inputs:
            type_ = self._types.get(tensor.name, "")
            array = _array(tensor, type_)
            if array is None:
                return None
            columns[tensor.name] = array
        if len(columns) != len(self._names) or len(request.inputs) != len(columns):
            return None
        return self._asking(columns, rows_of(columns), request)

    def _asking(self, columns: Columns, rows: int, request: _Asked | oip.InferRequest) -> Asking | None:
        parameters, wishes = request.parameters, request.outputs
        if not (parameters or wishes):
            return Asking(columns, rows, request.id)
        timeout = parameters.get("timeout", 0)
        if not (parameters.keys() <= _KNOWN and isinstance(timeout, int | float) and timeout >= 0):
            return None
        names = {wish.name for wish in wishes}
        if len(names) < len(wishes) or not names <= self._outputs:
            return None
        if any(wish.parameters and wish.parameters.keys() != {"binary_data"} for wish in wishes):
            return None
        binary = parameters.get("binary_data_output") is True
        return Asking(columns, rows, request.id, wishes, binary, timeout / 1e6)

    def _read_slowly(self, body: bytes, end: int) -> Asking | None:
        try:
            request, tensors = oip.decode(body, "" if end == len(body) else str(end))
            columns = columns_of(self.inputs, tensors)
        except Exception:  # noqa: BLE001  # The door will meet the same, and has words for it.
            return None
        return self._asking(columns, rows_of(columns), request)

    def _matrix(self, tensors: list[_Tensor], body: bytes, end: int) -> MatrixColumns | None:
        """The inputs as one matrix, from a single tensor for all or from a column of doubles for each."""
        if len(tensors) == 1 and tensors[0].name not in self._known:
            matrix = self._whole(tensors[0], body, end)
        elif self._doubles and tuple([tensor.name for tensor in tensors]) == self._names:
            matrix = _columns(tensors, body, end)
        else:
            return None
        return None if matrix is None else MatrixColumns(self._names, matrix)

    def _whole(self, tensor: _Tensor, body: bytes, end: int) -> np.ndarray | None:
        shape, wide = tensor.shape, len(self._names)
        if len(shape) != 2 or shape[1] != wide or shape[0] < 1:
            return None
        if tensor.parameters is msgspec.UNSET:
            if tensor.datatype != "FP64" or tensor.data is msgspec.UNSET or end != len(body):
                return None
            matrix = _numbers(tensor.data)
            if matrix is None or matrix.size != shape[0] * wide or (matrix.ndim == 2 and matrix.shape[1] != wide):
                return None
            return matrix.reshape(shape)
        size = _binary_size(tensor)
        kind = {"FP64": np.float64, "FP32": np.float32}.get(tensor.datatype)
        if kind is None or size != len(body) - end or size != shape[0] * wide * np.dtype(kind).itemsize:
            return None
        matrix = np.frombuffer(body, kind, shape[0] * wide, end).reshape(shape)
        return matrix if kind is np.float64 else matrix.astype(np.float64)


def _array(tensor: _Column, type_: str) -> np.ndarray | None:
    """A list as a column of its own type; None where it takes more than a look to say what it is."""
    data, shape = tensor.data, tensor.shape
    if not data or (shape != [len(data)] and shape != [len(data), 1]) or _SENT.get(tensor.datatype) != type_:
        return None
    if type_ == "float64":
        return _numbers(data) if str not in map(type, data) else None
    wanted = str if type_ == "string" else int
    if any(type(value) is not wanted for value in data):
        return None
    try:
        return np.array(data, object if type_ == "string" else np.int64)
    except OverflowError:
        return None


def _columns(tensors: list[_Tensor], body: bytes, end: int) -> np.ndarray | None:
    rows = tensors[0].shape
    if end != len(body) or not rows or rows[0] < 1 or rows[1:] not in ([], [1]):
        return None
    for tensor in tensors:
        if tensor.shape != rows or tensor.datatype != "FP64" or tensor.parameters is not msgspec.UNSET:
            return None
    found = _numbers([tensor.data for tensor in tensors])  # What is unset makes no matrix.
    if found is None or found.ndim < 2 or found.size != rows[0] * len(tensors) or found.shape[2:] not in ((), (1,)):
        return None
    return np.ascontiguousarray(found.reshape(len(tensors), rows[0]).T)


def _numbers(data: Any) -> np.ndarray | None:
    """Lists of doubles as an array, null as NaN; None where their lengths differ."""
    try:
        return np.array(data, dtype=np.float64)
    except (TypeError, ValueError):
        return None


def _binary_size(tensor: _Tensor) -> int:
    """How many bytes after the JSON are the tensor's; -1 where that is not all that is said of it."""
    parameters = tensor.parameters
    if tensor.data is not msgspec.UNSET or not isinstance(parameters, dict) or len(parameters) != 1:
        return -1
    size = parameters.get("binary_data_size")
    return size if type(size) is int else -1


def _binary(name: str, values: Sequence[str] | np.ndarray) -> bytes:
    """An output as JSON whose values stand after it; nothing for what is rare."""
    datatype = _DATATYPES.get(values.dtype) if isinstance(values, np.ndarray) else None
    if datatype is None or not isinstance(values, np.ndarray) or values.ndim != 1 or not values.flags.c_contiguous:
        return b""
    form = b'{"name":%b,"datatype":"%b","shape":[%d],"parameters":{"binary_data_size":%d}}'
    return form % (_encode(name), datatype, len(values), values.nbytes)


def _output(name: str, values: Sequence[str] | np.ndarray) -> bytes:
    """An output as JSON; nothing for what is rare."""
    if isinstance(values, np.ndarray):
        datatype = _DATATYPES.get(values.dtype)
        if datatype is None or values.ndim != 1:
            return b""
        data = _encode(values.tolist())
    elif all(type(value) is str for value in values):
        datatype, data = b"BYTES", _encode(values)
    else:
        return b""
    return b'{"name":%b,"datatype":"%b","shape":[%d],"data":%b}' % (_encode(name), datatype, len(values), data)
