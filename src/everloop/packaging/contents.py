"""What every form holds: the model with its manifest and papers, the code that loads it, the libraries it needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import msgspec

from everloop.catalog.session import Session
from everloop.packaging import distributions, sbom
from everloop.packaging.archive import code_of
from everloop.packaging.distributions import Packed
from everloop.packaging.entities import Manifest, ScanReport
from everloop.packaging.runner import COMPILED, MANIFEST, MODEL, REQUIREMENTS
from everloop.packaging.scan import report
from everloop.registry.entities import ModelVersion

SBOM = "sbom.cdx.json"
MLBOM = "mlbom.cdx.json"
SCAN = "scan.json"
SERVER = "everloop.server.inference.standalone"
HANDLER = "everloop.server.inference.awslambda"
_RUNNER = ("everloop.packaging.runner", "everloop.registry.columns", "everloop.registry.flavor")
_COMPILED = "everloop.registry.trees.compiled"
_HOUSE = "everloop"


class Contents(msgspec.Struct, frozen=True):
    """One package before it has a form. `libraries` are all distributions that go along, `papers` what describes it."""

    version: ModelVersion
    manifest: Manifest
    libraries: tuple[Packed, ...]
    papers: dict[str, bytes]


def contents_of(session: Session, version: ModelVersion, manifest: Manifest, doors: Sequence[str]) -> Contents:
    """What a package of a version holds; `doors` are the distributions that it is asked through."""
    libraries = distributions.closure([*distributions.RUNTIME, *manifest.requirements, *doors])
    scanned = report(session, version)
    papers = {
        MANIFEST: msgspec.json.encode(manifest, order="sorted"),
        REQUIREMENTS: distributions.lock(libraries),
        SBOM: sbom.bill_of_materials(manifest, libraries),
        MLBOM: sbom.model_bill(version, manifest),
        SCAN: msgspec.json.format(msgspec.json.encode(scanned, order="sorted"), indent=2),
    }
    return Contents(version, manifest, libraries, papers)


def files_of(session: Session, manifest: Manifest, papers: Mapping[str, bytes]) -> dict[str, bytes]:
    """The folder that a server or runner is started with: papers, `model/`, `compiled/`."""
    files = dict(papers)
    for folder, entries in ((MODEL, manifest.files), (COMPILED, manifest.compiled)):
        files |= {folder + entry.path: session.store.get(entry.digest) for entry in entries}
    return files


def modules(manifest: Manifest, *doors: str) -> tuple[str, ...]:
    """Everloop's modules that a package starts from: the runner, the flavor or what loads compiled models, doors."""
    flavor = manifest.flavor.partition(":")[0]
    own = [flavor] if flavor.partition(".")[0] == _HOUSE else []
    loader = [_COMPILED] if manifest.compiled else []
    return tuple(name for name in (*_RUNNER, *own, *loader, *doors) if _exists(name))


@cache
def code(started: tuple[str, ...]) -> dict[str, bytes]:
    """The source of the modules and of what they import of Everloop, with compiled code that lies beside them."""
    found = code_of(started)
    root = Path(find_spec(_HOUSE).origin or "").parent.parent  # type: ignore[union-attr]  # this very package
    for folder in sorted({Path(path).parent for path in found}):
        found |= {(folder / path.name).as_posix(): path.read_bytes() for path in (root / folder).glob("*.so")}
    return found


def scan_of(contents: Contents) -> ScanReport:
    """What was found in the model's files before they were packed."""
    return msgspec.json.decode(contents.papers[SCAN], type=ScanReport)


def _exists(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False
