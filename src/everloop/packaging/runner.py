"""What a package does when it is run: `python delay-3.pyz predict < columns.json`, `python delay-3.pyz manifest`.

This module is packed together with the flavor; it works without a platform, a catalog or a store.
"""

from __future__ import annotations

import importlib
import sys
import tempfile
import zipfile
from base64 import b64decode
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

import msgspec

from everloop.kernel.errors import Corrupted, EverloopError, InvalidInput, Misconfigured
from everloop.packaging.entities import Manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType

    import numpy as np

    from everloop.registry.entities import Signature
    from everloop.registry.flavor import CodeFlavor, Flavor, Predictor, TensorPredictor

MANIFEST = "manifest.json"
REQUIREMENTS = "requirements.txt"
MODEL = "model/"
COMPILED = "compiled/"
_COMPILER = "everloop.registry.trees.compiled"
_SERVER = "everloop.server.inference.standalone"
_USAGE = "Run it as: predict < columns.json, manifest, or serve --port 8080."


class Request(msgspec.Struct, frozen=True):
    """Rows to predict, column by column: `{"columns": {"distance": [900.0, null], "carrier": ["AA", "UA"]}}`.

    An array in a row is a list of lists; bytes are base64.
    """

    columns: dict[str, list[bool | int | float | str | list[object] | None]]


class Answer(msgspec.Struct, frozen=True):
    """The scores, a row for each of the request, and which model gave them.

    `outputs` are there instead, by name, where a model gives several, texts or arrays.
    """

    model: str
    version: int
    scores: list[float | list[float | None] | None] = []
    outputs: dict[str, list[object]] | msgspec.UnsetType = msgspec.UNSET


def main(arguments: Sequence[str], place: Path) -> int:
    """Run one command of the package (an archive, or a folder with what one holds); the exit code."""
    if arguments[:1] == ["serve"]:
        return _serve(list(arguments[1:]), place)
    try:
        sys.stdout.buffer.write(_answered(list(arguments), place) + b"\n")
    except EverloopError as error:
        sys.stderr.buffer.write(msgspec.json.encode({"error": error.problem}) + b"\n")
        return error.exit_code
    return 0


def read_manifest(place: Path) -> Manifest:
    """The manifest of a package, without running it."""
    if place.is_dir():
        return msgspec.json.decode((place / MANIFEST).read_bytes(), type=Manifest)
    with zipfile.ZipFile(place) as opened:
        return msgspec.json.decode(opened.read(MANIFEST), type=Manifest)


def load(manifest: Manifest, place: Path) -> Predictor:
    """The model of a package: compiled where it is, else as its flavor loads it.

    Raises:
        Misconfigured: the flavor's library is not here.
        Corrupted: there is no such flavor.
    """
    if place.is_dir():
        return _loaded(manifest, place)
    with tempfile.TemporaryDirectory(prefix="everloop-package-") as folder, zipfile.ZipFile(place) as opened:
        opened.extractall(folder, [name for name in opened.namelist() if name.startswith((MODEL, COMPILED))])
        return _loaded(manifest, Path(folder))


def _serve(arguments: list[str], place: Path) -> int:
    try:
        server = importlib.import_module(_SERVER)
    except ModuleNotFoundError:
        sys.stderr.buffer.write(b"This package answers on standard input only: take an image or an executable.\n")
        return Misconfigured.exit_code
    return int(server.main([str(place), *arguments]) or 0)


def _answered(arguments: list[str], place: Path) -> bytes:
    manifest = read_manifest(place)
    if arguments == ["manifest"]:
        return msgspec.json.format(msgspec.json.encode(manifest), indent=2)
    if arguments != ["predict"]:
        raise InvalidInput(f"{' '.join(arguments) or 'Nothing'} is not a command of this package.", hint=_USAGE)
    return msgspec.json.encode(predict(manifest, load(manifest, place), sys.stdin.buffer.read()))


def predict(manifest: Manifest, predictor: Predictor, body: bytes) -> Answer:
    """The scores or outputs for a request as JSON.

    Raises:
        InvalidInput: it is not JSON, or its columns are not what the signature asks for.
    """
    from everloop.registry.columns import arrays_of, check_inputs

    try:
        request = msgspec.json.decode(body, type=Request)
    except msgspec.DecodeError as error:
        raise InvalidInput(f"The request cannot be read ({error}).", hint='Send {"columns": {"name": […]}}.') from None
    columns = arrays_of(manifest.signature, decoded(manifest.signature, request.columns))
    check_inputs(manifest.signature, columns)
    found = given(manifest.signature, predictor, columns)
    if not isinstance(found, Mapping):
        return Answer(manifest.model, manifest.version, found.tolist())
    outputs = {name: cast("list[object]", _listed(values)) for name, values in found.items()}
    return Answer(manifest.model, manifest.version, outputs=outputs)


def given(
    signature: Signature, predictor: Predictor, columns: Mapping[str, np.ndarray]
) -> np.ndarray | Mapping[str, np.ndarray | Sequence[str]]:
    """What a model gives: its scores; by name where it gives several outputs, texts or arrays and names them itself."""
    fields = signature.outputs
    is_plain = len(fields) <= 1 and all(not one.shape and one.type not in ("string", "bytes") for one in fields)
    if is_plain or not hasattr(predictor, "infer"):
        return predictor.predict(columns)
    return cast("TensorPredictor", predictor).infer(columns)


def _listed(values: np.ndarray | Sequence[str]) -> object:
    return list(values) if isinstance(values, (list, tuple)) else cast("np.ndarray", values).tolist()


def decoded(signature: Signature, columns: Mapping[str, Sequence[object]]) -> dict[str, Sequence[object]]:
    """The columns with bytes where the signature has them, which JSON knows as base64.

    Raises:
        InvalidInput: what should be base64 is not.
    """
    found = dict(columns)
    for field in signature.inputs:
        if field.type == "bytes" and field.name in found:
            try:
                found[field.name] = [
                    None if one is None else b64decode(str(one), validate=True) for one in found[field.name]
                ]
            except ValueError:
                raise InvalidInput(f"{field.name} is not base64.", hint="Send bytes as base64.") from None
    return found


def _loaded(manifest: Manifest, folder: Path) -> Predictor:
    if manifest.compiled and (folder / COMPILED).is_dir():
        compiled = importlib.import_module(_COMPILER).load_compiled
        found = compiled(folder / COMPILED, manifest.signature.inputs, lambda: _native(manifest, folder))
        if found is not None:
            return cast("Predictor", found)
    return _native(manifest, folder)


def _native(manifest: Manifest, folder: Path) -> Predictor:
    """The model as its flavor loads it. Code that it brings was trusted when it was packed."""
    module = manifest.flavor.partition(":")[0]
    try:
        flavor = cast("Flavor", _named(importlib.import_module(module), manifest.flavor)())
        with_code = cast("CodeFlavor", flavor) if hasattr(flavor, "code_in") else None
        if with_code is not None and with_code.code_in(folder / MODEL):
            return with_code.load_trusted(folder / MODEL)
        return flavor.load(folder / MODEL)
    except ModuleNotFoundError as error:
        needed = "the model's own library" if manifest.compiled else f"pip install {' '.join(manifest.requirements)}"
        raise Misconfigured(f"The package needs {error.name}.", hint=needed) from None


def _named(module: ModuleType, flavor: str) -> Callable[[], object]:
    """The class that a flavor's name says: nothing else is called, since a manifest may come from anybody."""
    found = getattr(module, flavor.partition(":")[2], None)
    if not isinstance(found, type) or not (hasattr(found, "load") and hasattr(found, "requirements")):
        raise Corrupted(f"There is no flavor {flavor}.", hint="Build the package again.")
    return cast("Callable[[], object]", found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[2:], Path(sys.argv[1])))
