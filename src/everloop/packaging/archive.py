"""The package as one file that Python runs: the model, the code that loads it, its manifest and its requirements."""

from __future__ import annotations

import ast
import importlib.metadata
import io
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import msgspec

from everloop.catalog.session import Session
from everloop.packaging.entities import Manifest
from everloop.packaging.runner import MANIFEST, MODEL, REQUIREMENTS
from everloop.registry.compilation.kept import known
from everloop.registry.entities import ModelVersion
from everloop.registry.flavor import Flavor
from everloop.store.entities import Digest, TreeEntry

_RUNNER = "everloop.packaging.runner"
_ALWAYS = (_RUNNER, "everloop.registry.columns")
_HOUSE = "everloop"
_RUN_BY_ITSELF = ("msgspec", "numpy")
_GRAPH = ("onnxruntime",)
ONNX = "model.onnx"
"""The file of a compiled form that ONNX Runtime runs."""
_START = f"""import sys
from pathlib import Path

from {_RUNNER} import main

sys.exit(main(sys.argv[1:], Path(sys.argv[0])))
"""
_EPOCH = (1980, 1, 1, 0, 0, 0)
_MODE = 0o100644 << 16
_SHEBANG = b"#!/usr/bin/env python3\n"


def manifest_of(session: Session, version: ModelVersion, compiled: Sequence[TreeEntry] = ()) -> Manifest:
    """What the package of a version holds; with a compiled form, that form's requirements are all there are."""
    flavor = session.ports.get(Flavor, version.trained.flavor)
    needed = [*_RUN_BY_ITSELF, *(_GRAPH if any(entry.path == ONNX for entry in compiled) else ())]
    pins = [f"{name}=={importlib.metadata.version(name)}" for name in (needed if compiled else ["msgspec"])]
    requirements = {*pins, *(() if compiled else flavor.requirements())}
    kind = type(flavor)
    return Manifest(
        version.model,
        version.version,
        version.trained.digest,
        version.trained.signature,
        f"{kind.__module__}:{kind.__qualname__}",
        tuple(sorted(requirements)),
        session.store.tree(version.trained.digest),
        f"everloop {importlib.metadata.version('everloop')}",
        tuple(compiled),
    )


def compiled_files(session: Session, version: ModelVersion) -> tuple[TreeEntry, ...]:
    """The files of a version's compiled form, where one was proven and can be run here."""
    found = known(session, version.trained)
    if found is None or not found.compiled:
        return ()
    if found.engine == "onnx":
        return session.store.tree(Digest(found.compiled)) if find_spec("onnxruntime") else ()
    from everloop.registry.trees.kernel import available

    return session.store.tree(Digest(found.compiled)) if available() else ()


def packed(session: Session, manifest: Manifest) -> bytes:
    """The archive: equal bytes for equal models, whenever and wherever it is made by the same Everloop and Python."""
    module = manifest.flavor.partition(":")[0]
    files = code_of([*_ALWAYS, *([module] if module.partition(".")[0] == _HOUSE else [])])
    files |= {MODEL + entry.path: session.store.get(entry.digest) for entry in manifest.files}
    files["__main__.py"] = _START.encode()
    files[MANIFEST] = msgspec.json.encode(manifest, order="sorted")
    files[REQUIREMENTS] = "".join(f"{line}\n" for line in manifest.requirements).encode()
    return _SHEBANG + zipped(files)


def zipped(files: Mapping[str, bytes]) -> bytes:
    """A zip of the files, by name, without times or anything else of the machine that makes it."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr, entry.create_system = _MODE, 3
            archive.writestr(entry, files[name], zipfile.ZIP_DEFLATED, 6)
    return out.getvalue()


def code_of(modules: Iterable[str]) -> dict[str, bytes]:
    """The source of Everloop's modules and of all those of Everloop that they import, by path."""
    found: dict[str, bytes] = {}
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        path, source = _source(module)
        if path and path not in found:
            found[path] = source
            waiting.extend(_imports(source))
            waiting.extend(_parents(module))
    return found


def _source(module: str) -> tuple[str, bytes]:
    """The path inside the archive and the source of a module; nothing for what is no module (a name inside one)."""
    try:
        spec = find_spec(module)
    except ModuleNotFoundError:
        return "", b""
    if spec is None or spec.origin is None:
        return "", b""
    folder = "/__init__" if spec.submodule_search_locations else ""
    return f"{module.replace('.', '/')}{folder}.py", Path(spec.origin).read_bytes()


def _imports(source: bytes) -> list[str]:
    names: list[str] = []
    for node in _run(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return [name for name in names if name.partition(".")[0] == _HOUSE]


def _run(node: ast.AST) -> Iterator[ast.AST]:
    """A node and all below it, but for what only type checkers read."""
    yield node
    if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
        return
    for child in ast.iter_child_nodes(node):
        yield from _run(child)


def _parents(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[:length]) for length in range(1, len(parts))]
