"""skops, imported without PyTorch, and its files, written without memory addresses and times, in compact JSON."""

from __future__ import annotations

import importlib
import io
import json
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

_EPOCH = (1980, 1, 1, 0, 0, 0)
_WALKED = ("torch", "cupy", "dask", "dask.array")
"""What scikit-learn has bridges to, each a package that imports the library."""


def library() -> ModuleType:
    """`skops.io`.

    It walks all packages of scikit-learn for estimators and thereby imports the bridges to libraries of tensors, each
    of which imports its library where it is installed: seconds, for PyTorch. Bridges that nobody has imported yet are
    not walked into, as if their libraries were not installed.
    """
    if "skops.io" in sys.modules:
        return importlib.import_module("skops.io")  # It waits where another thread is still importing it.
    bridges = [f"sklearn.externals.array_api_compat.{name}" for name in _WALKED]
    closed = {name: ModuleType(name) for name in bridges if name not in sys.modules}
    sys.modules.update(closed)
    try:
        return importlib.import_module("skops.io")
    finally:
        for name in closed:
            del sys.modules[name]


class _Files(dict[str, bytes]):
    """What stands in for the archive that skops writes arrays to."""

    def writestr(self, name: str, data: Any) -> None:
        self[name] = bytes(data)

    def namelist(self) -> list[str]:
        return list(self)


def written(native: object) -> bytes:
    """An object as a skops file: equal objects have equal bytes.

    skops's own `dumps` writes indented JSON, which Python does slowly, and addresses of this process.
    """
    library()
    from skops import __version__
    from skops.io._utils import SaveContext, get_state

    files = _Files()
    context = SaveContext(zip_file=files)
    state = get_state(native, context) | {"protocol": context.protocol, "_skops_version": __version__}
    schema = msgspec.json.decode(json.dumps(state))  # In the state, parts that are used twice are the same object.
    names = _settle(schema, files)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(zipfile.ZipInfo("schema.json", _EPOCH), msgspec.json.encode(schema))
        for name, renamed in names.items():
            archive.writestr(zipfile.ZipInfo(renamed, _EPOCH), files[name])
    return out.getvalue()


def _settle(schema: dict[str, Any], files: _Files) -> dict[str, str]:
    """Number the addresses and the files in the order in which they come; the files' new names are given back."""
    ids: dict[int, int] = {}
    names: dict[str, str] = {}
    for node in _nodes(schema):
        if isinstance(node.get("__id__"), int):
            node["__id__"] = ids.setdefault(node["__id__"], len(ids) + 1)
        if isinstance(node.get("file"), str) and node["file"] in files:
            node["file"] = names.setdefault(node["file"], f"{len(names)}{Path(node['file']).suffix}")
    return names


def _nodes(value: Any) -> Iterator[dict[str, Any]]:
    """Every object inside a JSON value (so `Any`), parents first, in order."""
    if isinstance(value, dict):
        yield value
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for child in children:
        yield from _nodes(child)
