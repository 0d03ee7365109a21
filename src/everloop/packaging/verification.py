"""Verification: the package is run on its own, and must answer what the registry's model answers."""

from __future__ import annotations

import subprocess
import tempfile
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from time import perf_counter

import msgspec
import numpy as np

from everloop.catalog.session import Session
from everloop.kernel.errors import EverloopError, Problem, Refused, error_of
from everloop.packaging import running
from everloop.packaging.entities import Package, Verification
from everloop.packaging.runner import Answer, Request, decoded, given
from everloop.registry import forms
from everloop.registry.columns import arrays_of
from everloop.registry.entities import Field, Signature
from everloop.registry.flavor import Predictor

ROWS = 32
TIMEOUT_SECONDS = 120
_GOLDEN = 0.6180339887498949
_DIGITS = {"float16": 6, "int8": 2, "uint8": 2, "int16": 4, "uint16": 4}
"""Powers of ten that the numbers of narrow types are spread over."""
_UNSEEN = "a value that was never seen"

_ALL = float("inf")
Column = list[bool | int | float | str | list[object] | None]


def examples(signature: Signature) -> dict[str, Column]:
    """The same rows for the same signature: numbers of every size and sign, each category, an unseen one, and gaps.

    Arrays have no gaps; bytes are base64.
    """
    return {field.name: _column(field, place) for place, field in enumerate(signature.inputs)}


def run_packed(session: Session, package: Package, columns: dict[str, Column]) -> Answer:
    """What a package answers for the columns, unpacked elsewhere and in a process of its own.

    Raises:
        EverloopError: whatever the package raised, or Refused when it ended in another way.
    """
    with tempfile.TemporaryDirectory(prefix="everloop-verify-") as name:
        folder = Path(name).resolve()
        (folder / "here").mkdir()
        command, variables = running.command(session, package, folder)
        return asked([*command, "predict"], variables, folder / "here", columns)


def asked(command: list[str], variables: dict[str, str], where: Path, columns: dict[str, Column]) -> Answer:
    """What a package that is started by a command answers for the columns.

    Raises:
        EverloopError: whatever the package raised, or Refused when it ended in another way.
    """
    try:
        ran = subprocess.run(
            command,
            input=msgspec.json.encode(Request(columns)),
            capture_output=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
            cwd=where,
            env=variables,
        )
    except subprocess.TimeoutExpired:
        raise Refused(f"The package gave no answer in {TIMEOUT_SECONDS} s.", hint="Run it by hand.") from None
    if ran.returncode != 0:
        raise _failure(ran.stderr)
    try:
        return msgspec.json.decode(ran.stdout, type=Answer)
    except msgspec.DecodeError as error:
        raise Refused(f"The package's answer cannot be read ({error}).", hint="Build it again.") from None


def compared(session: Session, package: Package, predictor: Predictor) -> Verification:
    """The package's scores beside the model's own, on `examples`."""
    signature = package.manifest.signature
    columns = examples(signature)
    started = perf_counter()
    packed = _by_name(run_packed(session, package, columns))
    seconds = perf_counter() - started
    native = getattr(predictor, "native", None)
    same_kind = predictor if native is None or package.manifest.compiled else native()
    found = given(signature, same_kind, arrays_of(signature, decoded(signature, columns)))
    own = dict(found) if isinstance(found, Mapping) else {"": found}
    difference = max(_difference(packed[name], own[name]) for name in own) if packed.keys() == own.keys() else _ALL
    same = difference != _ALL and all(_is_equal(packed[name], own[name]) for name in own)
    return Verification(package.digest, ROWS, same, difference, round(seconds, 3))


def _by_name(answer: Answer) -> dict[str, object]:
    """What a package gave; scores have no name."""
    return {"": answer.scores} if answer.outputs is msgspec.UNSET else dict(answer.outputs)


def _numbers(values: object) -> np.ndarray | None:
    """Values as they are in JSON as numbers; None for texts and bytes."""
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        return None


def _difference(packed: object, own: object) -> float:
    """The largest difference of two outputs; infinity where they have another shape or other texts."""
    ours, theirs = _numbers(own), _numbers(packed)
    if ours is None or theirs is None:
        return 0.0 if _is_equal(packed, own) else _ALL
    if ours.shape != theirs.shape:
        return _ALL
    return float(np.max(np.nan_to_num(np.abs(theirs - ours)), initial=0.0))


def _is_equal(packed: object, own: object) -> bool:
    ours, theirs = _numbers(own), _numbers(packed)
    if ours is not None and theirs is not None:
        return np.array_equal(theirs, ours, equal_nan=True)
    told = own.tolist() if isinstance(own, np.ndarray) else list(own)  # type: ignore[call-overload]  # a sequence
    return bool(packed == msgspec.json.decode(msgspec.json.encode(told)))


def _column(field: Field, place: int) -> Column:
    if field.shape:
        return [_array(field, row, place) for row in range(ROWS)]
    values: Column = [_value(field, (row * _GOLDEN + place * _GOLDEN**2) % 1, row + place) for row in range(ROWS)]
    if field.nullable:
        values[place % ROWS] = None
    return values


def _array(field: Field, row: int, place: int) -> list[object]:
    """An array of the field's shape; where any length will do, there is one."""
    shape = [abs(size) for size in field.shape]
    values = np.empty(shape, dtype=object)
    for at in range(values.size):
        values.flat[at] = _value(field, ((row + at) * _GOLDEN + place * _GOLDEN**2) % 1, row + place + at)
    found: list[object] = values.tolist()
    return found


def _value(field: Field, share: float, position: int) -> bool | int | float | str | None:
    sign = -1 if position % 3 == 0 else 1
    if field.type.startswith("float"):
        return float(sign * 10 ** (_DIGITS.get(field.type, 8) * share - 2))
    if field.type[0] in "iu":
        return int((1 if field.type[0] == "u" else sign) * 10 ** (_DIGITS.get(field.type, 5) * share))
    if field.type == "bool":
        return bool(position % 2)
    if field.type == "bytes":
        return b64encode(bytes(range(position % 8))).decode()
    if field.form:
        return forms.sample(field)
    choices = [*field.categories, _UNSEEN]
    return choices[position % len(choices)]


def _failure(stderr: bytes) -> EverloopError:
    """The error that a package told, or what it left on stderr when it died without telling."""
    try:
        told = msgspec.json.decode(stderr.strip(), type=dict[str, Problem])
        return error_of(told["error"])
    except (msgspec.DecodeError, KeyError):
        last = stderr.decode(errors="replace").strip().rpartition("\n")[2][-500:]
        return Refused(f"The package failed: {last or 'it said nothing'}.", hint="Run it by hand to see all.")
