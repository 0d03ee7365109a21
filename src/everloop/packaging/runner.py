"""What a package does when it is run: `python delay-3.pyz predict < columns.json`, `python delay-3.pyz manifest`.

This module is packed together with the flavor; it works without a platform, a catalog or a store.
"""

from __future__ import annotations

import importlib
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, cast

import msgspec

from everloop.kernel.errors import EverloopError, InvalidInput, Misconfigured
from everloop.packaging.entities import Manifest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from everloop.registry.flavor import Flavor, Predictor

MANIFEST = "manifest.json"
REQUIREMENTS = "requirements.txt"
MODEL = "model/"
_USAGE = "Run it as: predict < columns.json, or manifest."


class Request(msgspec.Struct, frozen=True):
    """Rows to predict, column by column: `{"columns": {"distance": [900.0, null], "carrier": ["AA", "UA"]}}`."""

    columns: dict[str, list[bool | int | float | str | None]]


class Answer(msgspec.Struct, frozen=True):
    """The scores, a row for each of the request, and which model gave them."""

    model: str
    version: int
    scores: list[float | list[float]]


def main(arguments: Sequence[str], archive: Path) -> int:
    """Run one command of the package; the exit code."""
    try:
        sys.stdout.buffer.write(_answered(list(arguments), archive) + b"\n")
    except EverloopError as error:
        sys.stderr.buffer.write(msgspec.json.encode({"error": error.problem}) + b"\n")
        return error.exit_code
    return 0


def read_manifest(archive: Path) -> Manifest:
    """The manifest of a package, without running it."""
    with zipfile.ZipFile(archive) as opened:
        return msgspec.json.decode(opened.read(MANIFEST), type=Manifest)


def _answered(arguments: list[str], archive: Path) -> bytes:
    manifest = read_manifest(archive)
    if arguments == ["manifest"]:
        return msgspec.json.format(msgspec.json.encode(manifest), indent=2)
    if arguments != ["predict"]:
        raise InvalidInput(f"{' '.join(arguments) or 'Nothing'} is not a command of this package.", hint=_USAGE)
    return msgspec.json.encode(predict(manifest, _load(manifest, archive), sys.stdin.buffer.read()))


def predict(manifest: Manifest, predictor: Predictor, body: bytes) -> Answer:
    """The scores for a request as JSON.

    Raises:
        InvalidInput: it is not JSON, or its columns are not what the signature asks for.
    """
    from everloop.registry.columns import arrays_of, check_inputs

    try:
        request = msgspec.json.decode(body, type=Request)
    except msgspec.DecodeError as error:
        raise InvalidInput(f"The request cannot be read ({error}).", hint='Send {"columns": {"name": […]}}.') from None
    columns = arrays_of(manifest.signature, request.columns)
    check_inputs(manifest.signature, columns)
    return Answer(manifest.model, manifest.version, predictor.predict(columns).tolist())


def _load(manifest: Manifest, archive: Path) -> Predictor:
    module, _, name = manifest.flavor.partition(":")
    try:
        flavor = cast("Flavor", getattr(importlib.import_module(module), name)())
    except ModuleNotFoundError as error:
        raise Misconfigured(
            f"The package needs {error.name}.", hint=f"pip install {' '.join(manifest.requirements)}"
        ) from None
    with tempfile.TemporaryDirectory(prefix="everloop-package-") as folder, zipfile.ZipFile(archive) as opened:
        opened.extractall(folder, [MODEL + entry.path for entry in manifest.files])
        return flavor.load(Path(folder) / MODEL)
