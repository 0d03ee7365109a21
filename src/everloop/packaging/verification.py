"""Verification: the package is run on its own, and must answer what the registry's model answers."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from time import perf_counter

import msgspec
import numpy as np

from everloop.catalog.session import Session
from everloop.kernel.errors import EverloopError, Problem, Refused, error_of
from everloop.packaging import running
from everloop.packaging.entities import Package, Verification
from everloop.packaging.runner import Answer, Request
from everloop.registry.columns import arrays_of
from everloop.registry.entities import Field, Signature
from everloop.registry.flavor import Predictor

ROWS = 32
TIMEOUT_SECONDS = 120
_GOLDEN = 0.6180339887498949
_DIGITS = {"float16": 6, "int8": 2, "uint8": 2, "int16": 4, "uint16": 4}
"""Powers of ten that the numbers of narrow types are spread over."""
_UNSEEN = "a value that was never seen"

Column = list[bool | int | float | str | None]


def examples(signature: Signature) -> dict[str, Column]:
    """The same rows for the same signature: numbers of every size and sign, each category, an unseen one, and gaps.

    Raises:
        Refused: an input is an array or bytes, which packages are not asked by.
    """
    other = [field.name for field in signature.inputs if field.shape or field.type == "bytes"]
    if other:
        raise Refused(
            f"There are no examples of arrays and bytes ({', '.join(other)}).", hint="Ask the package's server by hand."
        )
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
    packed = np.asarray(run_packed(session, package, columns).scores, dtype=np.float64)
    seconds = perf_counter() - started
    native = getattr(predictor, "native", None)
    same_kind = predictor if native is None or package.manifest.compiled else native()
    own = same_kind.predict(arrays_of(signature, columns))
    same = packed.shape == own.shape
    difference = float(np.max(np.abs(packed - own))) if same else float("inf")
    passed = same and np.array_equal(packed, own, equal_nan=True)
    return Verification(package.digest, ROWS, passed, difference, round(seconds, 3))


def _column(field: Field, place: int) -> Column:
    values = [_value(field, (row * _GOLDEN + place * _GOLDEN**2) % 1, row + place) for row in range(ROWS)]
    if field.nullable:
        values[place % ROWS] = None
    return values


def _value(field: Field, share: float, position: int) -> bool | int | float | str | None:
    sign = -1 if position % 3 == 0 else 1
    if field.type.startswith("float"):
        return float(sign * 10 ** (_DIGITS.get(field.type, 8) * share - 2))
    if field.type[0] in "iu":
        return int((1 if field.type[0] == "u" else sign) * 10 ** (_DIGITS.get(field.type, 5) * share))
    if field.type == "bool":
        return bool(position % 2)
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
