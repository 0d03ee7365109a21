"""The wheel: a model that is installed by pip and imported, `everloop_model_delay.predict({"distance": [900.0]})`."""

from __future__ import annotations

import base64
import hashlib
import re
import sysconfig

from everloop.catalog.session import Session
from everloop.packaging import contents as held
from everloop.packaging.archive import zipped
from everloop.packaging.contents import Contents
from everloop.packaging.distributions import normalized
from everloop.packaging.entities import Manifest

_RUNTIME = "_runtime"
_PACKAGE = "package"
_MODULE = '''"""Model {model}, version {version}: `predict` takes columns by name, and gives a score for each row."""

import sys
from functools import cache
from pathlib import Path

__version__ = "{version}"
_HERE = Path(__file__).parent


def predict(columns):
    """The scores for columns: lists or arrays by name, all of one length; outputs by name where there are several."""
    from everloop.packaging.runner import given
    from everloop.registry.columns import arrays_of, check_inputs

    manifest, predictor = _opened()
    arrays = arrays_of(manifest.signature, {{name: _plain(values) for name, values in columns.items()}})
    check_inputs(manifest.signature, arrays)
    return given(manifest.signature, predictor, arrays)


def signature():
    """What the model takes and gives."""
    return _opened()[0].signature


@cache
def _opened():
    from everloop.packaging.runner import load, read_manifest

    place = _HERE / "{package}"
    manifest = read_manifest(place)
    return manifest, load(manifest, place)


def _plain(values):
    return values.tolist() if hasattr(values, "tolist") else list(values)


try:
    import everloop.packaging.runner
except ModuleNotFoundError:  # What of Everloop the model needs comes along for those who do not have it.
    sys.path.append(str(_HERE / "{runtime}"))
'''


def module_of(model: str) -> str:
    """What is imported: `everloop_model_` and the model's name as Python takes it."""
    return f"everloop_model_{re.sub(r'[^a-z0-9]+', '_', model.lower()).strip('_')}"


def file_name(manifest: Manifest) -> str:
    """The wheel's own name, which pip reads."""
    return f"{module_of(manifest.model)}-{manifest.version}-{_tag(manifest)}.whl"


def wheel_of(session: Session, contents: Contents) -> bytes:
    """The wheel: the package, the part of Everloop that it needs, and what it requires of other distributions."""
    manifest = contents.manifest
    module = module_of(manifest.model)
    code = held.code(held.modules(manifest))
    text = _MODULE.format(model=manifest.model, version=manifest.version, package=_PACKAGE, runtime=_RUNTIME)
    files = {f"{module}/__init__.py": text.encode()}
    files |= {f"{module}/{_RUNTIME}/{path}": data for path, data in code.items()}
    packed = held.files_of(session, manifest, contents.papers)
    files |= {f"{module}/{_PACKAGE}/{name}": data for name, data in packed.items()}
    about = f"{module}-{manifest.version}.dist-info"
    files |= {f"{about}/METADATA": _metadata(contents), f"{about}/WHEEL": _WHEEL.format(tag=_tag(manifest)).encode()}
    return zipped(files | {f"{about}/RECORD": _record(files, f"{about}/RECORD")})


_WHEEL = "Wheel-Version: 1.0\nGenerator: everloop\nRoot-Is-Purelib: true\nTag: {tag}\n"


def _tag(manifest: Manifest) -> str:
    """Where it can be installed: the kernel of compiled trees is made for this platform."""
    compiled = any(entry.path == "trees.bin" for entry in manifest.compiled)
    return f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}" if compiled else "py3-none-any"


def _metadata(contents: Contents) -> bytes:
    manifest = contents.manifest
    needed = {normalized(re.split(r"[^A-Za-z0-9._-]", line)[0]) for line in _required(manifest)}
    lines = [
        "Metadata-Version: 2.3",
        f"Name: {module_of(manifest.model).replace('_', '-')}",
        f"Version: {manifest.version}",
        f"Summary: Model {manifest.model}, version {manifest.version}, packed by {manifest.created_with}",
        "Requires-Python: >=3.11",
        *(f"Requires-Dist: {one.pin}" for one in contents.libraries if one.name in needed),
    ]
    return ("\n".join(lines) + "\n").encode()


def _required(manifest: Manifest) -> tuple[str, ...]:
    return ("msgspec", "numpy", *manifest.requirements)


def _record(files: dict[str, bytes], own: str) -> bytes:
    lines = [f"{path},sha256={_hashed(data)},{len(data)}" for path, data in sorted(files.items())]
    return ("\n".join([*lines, f"{own},,"]) + "\n").encode()


def _hashed(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
