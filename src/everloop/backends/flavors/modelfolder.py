"""What the folders of all flavors have in common: the fields as JSON, and no file that nobody wrote."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec

from everloop.kernel.errors import Corrupted, InvalidInput
from everloop.registry.entities import Field, Finding, Signature

INPUTS = "inputs.json"
OUTPUTS = "outputs.json"


def write_fields(folder: Path, signature: Signature, outputs: bool = False) -> None:
    """Write the inputs, and where the model itself names its outputs those too."""
    (folder / INPUTS).write_bytes(msgspec.json.encode(signature.inputs))
    if outputs:
        (folder / OUTPUTS).write_bytes(msgspec.json.encode(signature.outputs))


def read_fields(folder: Path, name: str = INPUTS) -> tuple[Field, ...]:
    """The inputs (or outputs) of a folder.

    Raises:
        Corrupted: the file is lost, or lists no fields.
    """
    try:
        return msgspec.json.decode(read(folder, name), type=tuple[Field, ...])
    except msgspec.MsgspecError as error:
        raise Corrupted(f"{name} does not list {Path(name).stem} ({error}).") from None


def read(folder: Path, name: str) -> bytes:
    """The bytes of a file.

    Raises:
        Corrupted: it is lost.
    """
    try:
        return (folder / name).read_bytes()
    except FileNotFoundError:
        raise Corrupted(f"The model has no {name}.", hint="Register the model again.") from None


def strangers(folder: Path, library: str, known: Collection[str]) -> list[Finding]:
    """A finding for every file that does not belong to a model of a library."""
    return [Finding(name, f"A model of {library} has no such file.") for name in files_of(folder) if name not in known]


def files_of(folder: Path) -> list[str]:
    """The paths of a folder's files, in order."""
    return [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file()]


def pinned(distributions: Iterable[str]) -> list[str]:
    """The distributions as they are installed; those that are not are left out."""
    found = []
    for name in distributions:
        try:
            found.append(f"{name}=={version(name)}")
        except PackageNotFoundError:
            continue
    return found


def check_count(count: int, signature: Signature, names: Sequence[str] = ()) -> None:
    """Refuse a signature that is not of the inputs that a model was trained on.

    Raises:
        InvalidInput: there are more or fewer, or they are named in another order.
    """
    inputs = [field.name for field in signature.inputs]
    if count != len(inputs) or (names and list(names) != inputs):
        listed = f" ({', '.join(names)})" if names else ""
        raise InvalidInput(
            f"The model was trained on {count} inputs{listed}, the signature has {len(inputs)} ({', '.join(inputs)}).",
            hint="Give both the same inputs in the same order.",
        )
