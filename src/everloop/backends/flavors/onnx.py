"""ONNX: the graph as one file, run by ONNX Runtime on one thread, without its telemetry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from everloop.backends.flavors import modelfolder
from everloop.kernel.errors import Corrupted, InvalidInput, Misconfigured, Refused
from everloop.registry.entities import Field, Finding, Signature, Type

if TYPE_CHECKING:
    import numpy as np

MODEL = "model.onnx"
_TYPES: dict[str, Type] = {
    "double": "float64", "float": "float32", "float16": "float16", "int64": "int64", "int32": "int32",
    "int16": "int16", "int8": "int8", "uint64": "uint64", "uint32": "uint32", "uint16": "uint16", "uint8": "uint8",
    "bool": "bool", "string": "string",
}  # fmt: skip


class OnnxPredictor:
    """A graph that is asked by column names. `session` is ONNX Runtime's, which many threads may ask at once.

    A graph with an input for each column is given each in the type that it declares, as `(n,)`, `(n, 1)` or with the
    shape of the column. A graph with one input for several columns is given them as one matrix, strings as the
    positions of their categories.
    """

    def __init__(self, session: Any, inputs: tuple[Field, ...], outputs: tuple[Field, ...]) -> None:
        from everloop.registry.columns import InputMatrix

        self.inputs = inputs
        self.outputs = outputs
        self._session = session  # `Any`: ONNX Runtime is untyped.
        self._places = {place.name: _Place(place) for place in session.get_inputs()}
        self._whole = set(self._places) != {field.name for field in inputs}
        self._matrix = InputMatrix(inputs) if self._whole else None
        self._graph = _graph_outputs(outputs, [place.name for place in session.get_outputs()])

    def predict(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """The first output as scores; the second class of a classifier that gives two for a single number."""
        import numpy as np

        found = self._session.run(self._graph[:1], self._fed(columns))[0]
        scores = np.asarray(_shaped(self.outputs[0], found))
        if scores.dtype.kind not in "fiub":
            raise Refused(f"The output {self.outputs[0].name} is no number.", hint="Ask for it over the protocol.")
        return scores.astype(np.float64)

    def infer(self, columns: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray | Sequence[str]]:
        """Every output of the signature, in the type that the graph gives it."""
        found = self._session.run(self._graph, self._fed(columns))
        return {field.name: _shaped(field, values) for field, values in zip(self.outputs, found, strict=True)}

    def contributions(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """Always refused: a graph does not say what moved its scores."""
        raise Refused("An ONNX graph cannot say how much each input moved a score.", hint="Ask the native model.")

    def _fed(self, columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        from everloop.registry.columns import typed

        if self._matrix is not None:
            ((name, place),) = self._places.items()
            return {name: place.of_matrix(self._matrix(columns))}
        fields = [Field(it.name, self._places[it.name].type, it.nullable, (), it.shape) for it in self.inputs]
        return {name: self._places[name].of_column(values) for name, values in typed(fields, columns).items()}


class OnnxFlavor:
    """Models in ONNX: a `ModelProto`, its bytes, or the path of a file that holds all of its weights.

    The signature's outputs name outputs of the graph, or there are as many of both, in order.
    """

    name = "onnx"

    def save(self, native: object, folder: Path, signature: Signature) -> None:
        """Write the graph and the fields."""
        data = _bytes_of(native)
        session = session_of(data)
        if session is None:
            raise InvalidInput("It is no whole ONNX model.", hint="Check it with onnx.checker.check_model.")
        _check_places(session, signature)
        (folder / MODEL).write_bytes(data)
        modelfolder.write_fields(folder, signature, outputs=True)

    def load(self, folder: Path) -> OnnxPredictor:
        """The graph of a folder; operators that are not ONNX Runtime's own cannot be loaded from it."""
        inputs = modelfolder.read_fields(folder)
        outputs = modelfolder.read_fields(folder, modelfolder.OUTPUTS)
        session = session_of(modelfolder.read(folder, MODEL))
        if session is None:
            raise Corrupted(f"{MODEL} is no whole ONNX model.", hint="Register the model again.")
        return OnnxPredictor(session, inputs, outputs)

    def scan(self, folder: Path) -> list[Finding]:
        """Every file that does not belong: a graph runs nothing but ONNX Runtime's operators."""
        known = (MODEL, modelfolder.INPUTS, modelfolder.OUTPUTS)
        return modelfolder.strangers(folder, "ONNX", known)

    def requirements(self) -> list[str]:
        """ONNX Runtime and NumPy, as installed."""
        return modelfolder.pinned(("onnxruntime", "numpy"))


class _Place:
    """An input of a graph: what type and how many dimensions it takes."""

    def __init__(self, declared: Any) -> None:
        kind = declared.type.removeprefix("tensor(").removesuffix(")")
        if kind not in _TYPES:
            raise InvalidInput(f"The graph's input {declared.name} is {declared.type}.", hint="Use tensors of numbers.")
        self.type: Type = _TYPES[kind]
        self.rank = len(declared.shape)

    def of_column(self, values: np.ndarray) -> np.ndarray:
        if self.type == "string":
            values = values.astype(object)
            values[values == None] = ""  # noqa: E711 - by element; tensors of strings know no gaps
        return values.reshape(-1, 1) if values.ndim == 1 and self.rank == 2 else values

    def of_matrix(self, matrix: np.ndarray) -> np.ndarray:
        return matrix.astype(self.type, copy=False)


def open_flavor() -> OnnxFlavor:
    """The flavor.

    Raises:
        Misconfigured: ONNX Runtime is not installed.
    """
    if find_spec("onnxruntime") is None:
        raise Misconfigured("ONNX Runtime is not installed.", hint="pip install 'everloop[onnx]'")
    return OnnxFlavor()


def _bytes_of(native: object) -> bytes:
    if isinstance(native, bytes):
        return native
    if isinstance(native, str | Path) and Path(native).is_file():
        return Path(native).read_bytes()
    serialize = getattr(native, "SerializeToString", None)
    if serialize is None or not hasattr(native, "graph"):
        raise InvalidInput(f"A {type(native).__name__} is no ONNX model.", hint="Pass a ModelProto, bytes or a path.")
    return bytes(serialize(deterministic=True))


def session_of(data: bytes) -> Any:
    """ONNX Runtime's session (`Any`: it is untyped), or None for what is no model; files beside it are never read."""
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    if not data:
        return None
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception:  # noqa: BLE001 - ONNX Runtime has a class for each way to be broken, and no root for them
        return None


def _check_places(session: Any, signature: Signature) -> None:
    names = [place.name for place in session.get_inputs()]
    inputs = [field.name for field in signature.inputs]
    declared = session.get_inputs()[0].shape if len(names) == 1 else []
    width = declared[1] if len(declared) == 2 and isinstance(declared[1], int) else len(inputs)
    if set(names) != set(inputs) and (len(names) != 1 or width != len(inputs) or len(declared) != 2):
        raise InvalidInput(
            f"The model takes {width if len(declared) == 2 else len(names)} inputs ({', '.join(names)}), the signature"
            f" has {len(inputs)} ({', '.join(inputs)}).",
            hint="Name the graph's inputs, or as many columns as its one matrix has.",
        )
    _graph_outputs(signature.outputs, [place.name for place in session.get_outputs()])
    for place in session.get_inputs():
        _Place(place)


def _graph_outputs(outputs: Sequence[Field], there: Sequence[str]) -> list[str]:
    """The graph's outputs that the signature means: by name, or all of them in order."""
    wanted = [field.name for field in outputs]
    if set(wanted) <= set(there):
        return wanted
    if len(wanted) == len(there):
        return list(there)
    raise InvalidInput(
        f"The graph gives {', '.join(there)}, the signature {', '.join(wanted)}.",
        hint="Name outputs of the graph, or as many as it has.",
    )


def _shaped(field: Field, values: Any) -> np.ndarray:
    """An output as its field says: a single number for each row loses its axis, of two classes it is the second."""
    import numpy as np

    if isinstance(values, list):  # skl2onnx's ZipMap: a mapping of scores by class for each row.
        values = np.array([list(row.values()) if isinstance(row, dict) else row for row in values])
    found = np.asarray(values)
    if not field.shape and found.ndim == 2 and found.shape[1] in (1, 2):
        return found[:, -1]
    return found
