"""Building an image: four layers, of which all but the model's are made once and kept for the next build."""

from __future__ import annotations

import platform
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
from blake3 import blake3

from everloop.catalog.session import Session
from everloop.kernel.errors import Misconfigured
from everloop.kernel.progress import Progress
from everloop.packaging import contents as held
from everloop.packaging import distributions
from everloop.packaging.contents import Contents
from everloop.packaging.distributions import Packed
from everloop.packaging.entities import Form, Manifest
from everloop.packaging.image import config, interpreter, layout, libraries
from everloop.packaging.image.config import FOLDER, Start
from everloop.packaging.image.interpreter import SITE, with_bytecode
from everloop.packaging.image.layers import File, Files, Layer, layer_bytes, write_layer
from everloop.store.entities import Digest, TreeEntry

_FORMAT = "1"
"""Raised whenever layers are made in another way, so that none of before is taken for one of now."""
_ACCOUNTS = {
    "etc/passwd": File(b"root:x:0:0:root:/:/sbin/nologin\nmodel:x:10001:10001:model:/tmp:/sbin/nologin\n"),
    "etc/group": File(b"root:x:0:\nmodel:x:10001:\n"),
    "tmp": File(mode=0o1777, folder=True),
    **{place: File(mode=0o755, folder=True) for place in ("dev", "proc", "sys")},  # Where containers mount theirs.
    "etc/nsswitch.conf": File(b"hosts: files dns\n"),
}


class Image(msgspec.Struct, frozen=True):
    """An image that was built: its layers, and the digest of its manifest, by which registries know it."""

    layers: tuple[Layer, ...]
    digest: str
    tree: Digest
    size: int


class _Plan(msgspec.Struct, frozen=True):
    """A layer to be made, unless one of the same inputs is kept."""

    name: str
    inputs: object
    files: Callable[[], Files]


class _Kept(msgspec.Struct, frozen=True):
    """A layer that was made before, and the system's libraries that went into it."""

    layer: Layer
    system: list[tuple[str, int, int]]


def build(session: Session, contents: Contents, form: Form, start: Start) -> tuple[Image, dict[str, bytes]]:
    """The image of a version in the store as an OCI layout, and its Dockerfile."""
    layers = rootfs(session, contents)
    manifest = contents.manifest
    configured = config.configuration(manifest, form, platform.machine(), layers, start)
    described = config.image_manifest(configured, layers, config.labels(manifest, form))
    small = layout.small_files(configured, described, layers, f"{manifest.model.lower()}:{manifest.version}")
    entries = [TreeEntry(layout.BLOBS + layer.digest, layer.object, layer.size) for layer in layers]
    entries += [TreeEntry(path, session.store.put(data), len(data)) for path, data in small.items()]
    tree = session.store.put_tree(entries)
    size = sum(entry.size for entry in entries)
    recipe = layout.dockerfile(manifest, form, layers, start)
    return Image(layers, config.sha256(described), tree, size), {"Dockerfile": recipe}


def rootfs(session: Session, contents: Contents) -> tuple[Layer, ...]:
    """The layers of a version: interpreter, libraries, Everloop, model."""
    plans = [_interpreter(contents), _libraries(contents.libraries), _everloop(contents.manifest)]
    progress = session.ports.get(Progress)
    found: list[Layer] = []
    with ThreadPoolExecutor(len(plans)) as threads:
        for layer in threads.map(lambda plan: _layer(session, plan), plans):
            found.append(layer)
            progress.advance(len(found), len(plans) + 1, "layers", "files")
    files = held.files_of(session, contents.manifest, contents.papers)
    model = layer_bytes({f"{FOLDER}/{name}": File(data) for name, data in files.items()})
    return (*found, _kept_in_memory(session, model))


def _kept_in_memory(session: Session, data: bytes) -> Layer:
    import gzip

    tar = gzip.decompress(data)
    return Layer("model", config.sha256(data), config.sha256(tar), len(data), len(tar), session.store.put(data))


def _interpreter(contents: Contents) -> _Plan:
    """The C library, what else the binaries of all layers need of the system, and CPython."""
    states = [(place, *_state(path)) for place, path in interpreter.sources()]
    inputs = [states, [one.pin for one in contents.libraries if _compiled(one)]]
    return _Plan(
        "interpreter", inputs, lambda: _system(contents.libraries) | interpreter.interpreter_files() | _ACCOUNTS
    )


def _libraries(packed: Sequence[Packed]) -> _Plan:
    files = {f"{SITE}/{place}": path for one in packed for place, path in distributions.files_of(one.name)}
    inputs = [[one.pin, one.sha256] for one in packed]
    return _Plan("libraries", inputs, lambda: with_bytecode({place: File(path) for place, path in files.items()}))


def _everloop(manifest: Manifest) -> _Plan:
    code = held.code(held.modules(manifest, held.SERVER, held.HANDLER))
    inputs = [(path, blake3(data).hexdigest()) for path, data in sorted(code.items())]
    return _Plan(
        "everloop", inputs, lambda: with_bytecode({f"{SITE}/{path}": File(data) for path, data in code.items()})
    )


def _compiled(one: Packed) -> bool:
    return any(".so" in place for place, _ in distributions.files_of(one.name))


def _system(packed: Sequence[Packed]) -> dict[str, File]:
    inside = [path for one in packed for place, path in distributions.files_of(one.name) if ".so" in path.suffixes]
    roots = {
        path.parents[len(Path(place).parts) - 1] for one in packed for place, path in distributions.files_of(one.name)
    }
    found = libraries.loader_and_libraries([*interpreter.binaries(), *inside], roots)
    return {place: File(path, 0o755) for place, path in found.items()}


def _layer(session: Session, plan: _Plan) -> Layer:
    key = blake3(msgspec.json.encode([_FORMAT, plan.name, platform.python_version(), plan.inputs])).hexdigest()
    path = session.home / "packages" / "layers" / f"{key}.json"
    known = _known(session, path)
    if known is not None:
        return known
    files = plan.files()
    with tempfile.NamedTemporaryFile(prefix="everloop-layer-") as out:
        digest, diff, size, unpacked = write_layer(files, out.file)  # type: ignore[arg-type]  # a file it is
        out.flush()
        layer = Layer(plan.name, digest, diff, size, unpacked, session.store.put_file(Path(out.name)))
    system = [_state(file.data) for place, file in files.items() if isinstance(file.data, Path) and "lib" in place[:4]]
    _keep(path, _Kept(layer, system))
    return layer


def _known(session: Session, path: Path) -> Layer | None:
    try:
        kept = msgspec.json.decode(path.read_bytes(), type=_Kept)
        current = [_state(Path(name)) for name, _, _ in kept.system] == kept.system
    except (OSError, msgspec.MsgspecError):
        return None
    return kept.layer if current and not session.store.rely([kept.layer.object]) else None


def _keep(path: Path, kept: _Kept) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".partial", delete=False) as partial:
            partial.write(msgspec.json.encode(kept))  # Two builds may make the same layer at once.
        Path(partial.name).replace(path)
    except OSError as error:
        raise Misconfigured(
            f"{path} cannot be written ({error.strerror}).", hint="Check the home's permissions."
        ) from None


def _state(path: Path) -> tuple[str, int, int]:
    state = path.stat()
    return str(path), state.st_size, state.st_mtime_ns
