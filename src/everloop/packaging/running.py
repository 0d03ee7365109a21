"""Running a package as others will: unpacked, in a process that has nothing of this installation."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from functools import cache
from io import BytesIO
from pathlib import Path

import msgspec

from everloop.catalog.session import Session
from everloop.kernel.errors import Corrupted
from everloop.packaging import distributions
from everloop.packaging.awslambda import FOLDER as FUNCTION
from everloop.packaging.entities import IMAGES, Package
from everloop.packaging.image.config import FOLDER, sha256
from everloop.packaging.image.interpreter import HOME, PYTHON
from everloop.packaging.image.layout import BLOBS, INDEX, Descriptor, ImageManifest, Index
from everloop.packaging.wheel import module_of

_RUNNER = "everloop.packaging.runner"
_WHEEL = (
    "import sys; sys.path[:0] = {paths!r}; import {module}; from everloop.packaging.runner import main;"
    " from pathlib import Path; sys.exit(main(sys.argv[1:], Path({module}.__file__).parent / 'package'))"
)

_NAMES = {"executable": "package", "archive": "package.pyz", "lambda": "function.zip", "wheel": "package.whl"}
_NAMED = ("PATH", "LD_LIBRARY_PATH")
_RUN = (
    "import sys; sys.path[:0] = {paths!r}; from everloop.packaging.runner import main; from pathlib import Path;"
    " sys.exit(main(sys.argv[1:], Path({place!r})))"
)


def command(session: Session, package: Package, folder: Path) -> tuple[list[str], dict[str, str]]:
    """Unpack a package into a folder: what runs it from there, and in which environment.

    Raises:
        Corrupted: its bytes are not what they were when it was built.
    """
    if package.form in IMAGES:
        layout = folder / "layout"
        session.store.checkout(package.digest, layout)
        root = unpacked(layout, folder / "root")
        return contained(root, [f"/{PYTHON}", "-I", "-m", _RUNNER, f"/{FOLDER}"], {}), {}
    path = folder / _NAMES[package.form]
    session.store.write_to(package.digest, path)
    if package.form == "executable":
        path.chmod(0o755)
        return [str(path)], {"EVERLOOP_PACKAGES": str(folder / "unpacked")}
    if package.form == "archive":
        return [sys.executable, "-I", str(path)], {name: os.environ[name] for name in _NAMED if name in os.environ}
    _unzip(path, folder / "files")
    if package.form == "lambda":
        return _bare(_RUN.format(paths=[str(folder / "files")], place=str(folder / "files" / FUNCTION))), {}
    beside = _libraries(package, folder / "libraries")
    return _bare(_WHEEL.format(paths=[str(folder / "files"), str(beside)], module=module_of(package.model))), {}


def unpacked(layout: Path, root: Path) -> Path:
    """The files of an image, from its layout; every blob is compared with its digest first.

    Raises:
        Corrupted: a blob is not what its digest says.
    """
    index = msgspec.json.decode((layout / INDEX).read_bytes(), type=Index)
    manifest = msgspec.json.decode(_blob(layout, index.manifests[0]), type=ImageManifest)
    _blob(layout, manifest.config)
    root.mkdir()
    for layer in manifest.layers:
        with tarfile.open(fileobj=BytesIO(_blob(layout, layer)), mode="r:gz") as archive:
            archive.extraction_filter = getattr(tarfile, "fully_trusted_filter", None)  # The digest is what we trust.
            archive.extractall(root)
    return root


def contained(
    root: Path, arguments: Sequence[str], variables: Mapping[str, str], *, network: bool = False
) -> list[str]:
    """A command inside of an image's files: by bubblewrap, by chroot, or else by the image's own loader.

    Only the first keeps it from the `network`.
    """
    if _works_bubblewrap():
        apart = ["--unshare-pid", "--unshare-ipc", *([] if network else ["--unshare-net"])]
        mounts = ["--ro-bind", str(root), "/", "--tmpfs", "/tmp", "--dev", "/dev", "--proc", "/proc"]
        given = [word for name, value in variables.items() for word in ("--setenv", name, value)]
        rules = [*apart, *mounts, "--die-with-parent", "--clearenv", *given, "--chdir", "/tmp"]
        return [shutil.which("bwrap") or "bwrap", *rules, *arguments]
    chroot = shutil.which("chroot", path="/usr/sbin:/usr/bin:/sbin:/bin")
    if os.geteuid() == 0 and chroot:
        return [chroot, "--userspec=10001:10001", str(root), *arguments]
    loader = next(path for path in root.glob("lib*/ld-linux*"))
    libraries = next(root.glob("**/libc.so.6")).parent
    inside = [f"{root}{one}" if one.startswith((f"/{HOME}", f"/{FOLDER}")) else one for one in arguments]
    return [str(loader), "--inhibit-cache", "--library-path", str(libraries), *inside]


@cache
def _works_bubblewrap() -> bool:
    if shutil.which("bwrap") is None:
        return False
    tried = [
        "bwrap",
        "--ro-bind",
        "/",
        "/",
        "--dev",
        "/dev",
        "--proc",
        "/proc",
        "--unshare-pid",
        "--unshare-net",
        "true",
    ]
    return subprocess.run(tried, capture_output=True, check=False).returncode == 0


def _blob(layout: Path, descriptor: Descriptor) -> bytes:
    data = (layout / descriptor.path).read_bytes()
    if sha256(data) != descriptor.digest.removeprefix("sha256:") or len(data) != descriptor.size:
        raise Corrupted(f"{BLOBS}{descriptor.digest[7:19]}… of the image is damaged.", hint="Build it again.")
    return data


def _bare(code: str) -> list[str]:
    """This Python without its environment, its user's folder and every installed distribution."""
    executable = getattr(sys, "_base_executable", sys.executable)
    return [str(Path(executable).resolve()), "-I", "-S", "-c", code]


def _unzip(path: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            archive.extractall(folder)
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError) as error:
        raise Corrupted(f"The package is damaged ({error}).", hint="Build it again.") from None


def _libraries(package: Package, folder: Path) -> Path:
    """What a wheel requires, as pip would have installed it."""
    for one in distributions.closure([*distributions.RUNTIME, *package.manifest.requirements]):
        for place, path in distributions.files_of(one.name):
            target = folder / place
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(path)
    return folder
