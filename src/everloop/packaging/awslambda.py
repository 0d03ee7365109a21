"""AWS Lambda: a zip of the model, the code and the libraries, under the sizes that Lambda takes."""

from __future__ import annotations

import platform
import re
from collections.abc import Sequence

import msgspec

from everloop.catalog.session import Session
from everloop.kernel.errors import Refused
from everloop.packaging import contents as held
from everloop.packaging import distributions
from everloop.packaging.archive import zipped
from everloop.packaging.contents import Contents
from everloop.packaging.distributions import Packed
from everloop.packaging.image.interpreter import with_bytecode
from everloop.packaging.image.layers import File
from everloop.registry.entities import Finding

HANDLER = f"{held.HANDLER}.handler"
MOST_ZIPPED = 50 << 20
MOST_UNZIPPED = 250 << 20
FOLDER = "package/"
_GLIBC = {"3.11": (2, 26), "3.12": (2, 34), "3.13": (2, 34)}
"""The C library of Lambda's runtimes: Amazon Linux 2 up to Python 3.11, 2023 from then on."""


def zip_of(session: Session, contents: Contents) -> bytes:
    """The function's zip: libraries and Everloop at the top, the package in a folder of its own.

    Raises:
        Refused: it is larger than Lambda takes.
    """
    sources = {place: File(path) for one in contents.libraries for place, path in distributions.files_of(one.name)}
    code = held.code(held.modules(contents.manifest, held.HANDLER))
    sources |= {path: File(data) for path, data in code.items()}
    files = {place: _bytes(file) for place, file in with_bytecode(sources).items()}
    files |= {FOLDER + name: data for name, data in held.files_of(session, contents.manifest, contents.papers).items()}
    data = zipped(files)
    _check_size("zipped", len(data), MOST_ZIPPED)
    _check_size("unzipped", sum(map(len, files.values())), MOST_UNZIPPED)
    return data


def configuration(contents: Contents) -> bytes:
    """What the function is created with: `aws lambda create-function --cli-input-json file://lambda.json`."""
    machine = {"x86_64": "x86_64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    manifest = contents.manifest
    body = {
        "FunctionName": f"{manifest.model}-{manifest.version}",
        "Runtime": f"python{_python()}",
        "Handler": HANDLER,
        "Architectures": [machine],
        "MemorySize": 1024,
        "Timeout": 30,
        "Environment": {"Variables": {"EVERLOOP_PACKAGE": f"/var/task/{FOLDER.rstrip('/')}"}},
        "Description": f"Model {manifest.model}, version {manifest.version}",
    }
    return msgspec.json.format(msgspec.json.encode(body), indent=2)


def scanned(contents: Contents) -> Contents:
    """The contents, with a warning in the scan for each library that Lambda's system may be too old for."""
    scan = held.scan_of(contents)
    problem = "It asks for a newer C library than Lambda's runtime has: take a newer Python, or the form image."
    warnings = tuple(Finding(pin, problem, "warning") for pin in too_new(contents.libraries))
    if not warnings:
        return contents
    report = msgspec.structs.replace(scan, findings=scan.findings + warnings)
    data = msgspec.json.format(msgspec.json.encode(report, order="sorted"), indent=2)
    return msgspec.structs.replace(contents, papers=contents.papers | {held.SCAN: data})


def too_new(libraries: Sequence[Packed]) -> list[str]:
    """The libraries whose wheels ask for a newer C library than Lambda's runtime of this Python has."""
    has = _GLIBC.get(_python(), (2, 34))
    return [one.pin for one in libraries if _asks(one.tag) > has]


def _asks(tag: str) -> tuple[int, int]:
    found = re.search(r"manylinux_(\d+)_(\d+)", tag)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _python() -> str:
    return ".".join(platform.python_version_tuple()[:2])


def _bytes(file: File) -> bytes:
    return file.data if isinstance(file.data, bytes) else file.data.read_bytes()


def _check_size(what: str, size: int, most: int) -> None:
    if size > most:
        raise Refused(
            f"The function would have {size:,} bytes {what}; Lambda takes {most:,}.",
            hint="Take the form image: Lambda runs those up to 10 GB. A compiled model needs no library.",
        )
