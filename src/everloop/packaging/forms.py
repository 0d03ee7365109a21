"""The forms of a package: how each is made of the same contents."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import msgspec

from everloop.catalog.session import Session
from everloop.packaging import archive, awslambda, clouds, distributions, executable, wheel
from everloop.packaging import contents as held
from everloop.packaging.contents import Contents
from everloop.packaging.entities import Form
from everloop.packaging.image import build as images
from everloop.packaging.image.layers import Layer
from everloop.packaging.image.libraries import loader_of_this_python
from everloop.registry.entities import ModelVersion
from everloop.registry.save import load_model
from everloop.store.entities import Digest

_SILENT: tuple[Form, ...] = ("archive", "wheel")
"""The forms that answer to whoever starts or imports them, and to nobody else."""


class Built(msgspec.Struct, frozen=True):
    """A package in the store: its bytes or folder, and what lies beside it."""

    digest: Digest
    size: int
    parts: dict[str, bytes]


def build(session: Session, version: ModelVersion, form: Form) -> tuple[Built, Contents]:
    """A version in a form.

    Raises:
        Refused: the form cannot hold it.
        Misconfigured: something that is packed along is not installed here.
    """
    load_model(session, version.trained)  # It asks whether somebody trusts the code that a model brings.
    compiled = archive.compiled_files(session, version) if form != "archive" else ()  # A zip runs no compiled code.
    manifest = archive.manifest_of(session, version, compiled)
    contents = held.contents_of(session, version, manifest, doors=_doors(form))
    built = _BUILDERS[form](session, contents, form)
    return msgspec.structs.replace(built, parts=contents.papers | built.parts), contents


def _doors(form: Form) -> tuple[str, ...]:
    if form in _SILENT:
        return ()
    return distributions.FUNCTION if form == "lambda" else distributions.SERVER


def _archive(session: Session, contents: Contents, form: Form) -> Built:
    data = archive.packed(session, contents.manifest)
    return Built(session.store.put(data), len(data), {})


def _wheel(session: Session, contents: Contents, form: Form) -> Built:
    data = wheel.wheel_of(session, contents)
    return Built(session.store.put(data), len(data), {})


def _lambda(session: Session, contents: Contents, form: Form) -> Built:
    contents = awslambda.scanned(contents)
    data = awslambda.zip_of(session, contents)
    return Built(
        session.store.put(data), len(data), contents.papers | {"lambda.json": awslambda.configuration(contents)}
    )


def _image(session: Session, contents: Contents, form: Form) -> Built:
    image, papers = images.build(session, contents, form, clouds.start_of(form))
    return Built(image.tree, image.size, papers | clouds.files_for(session, contents, form))


def _executable(session: Session, contents: Contents, form: Form) -> Built:
    script, layers = executable.pieces(session, contents, loader_of_this_python())
    with tempfile.NamedTemporaryFile(prefix="everloop-executable-") as out:
        size = _write(session, script, layers, out.file)  # type: ignore[arg-type]  # a file it is
        return Built(session.store.put_file(Path(out.name)), size, {})


def _write(session: Session, script: str, layers: list[Layer], out: BinaryIO) -> int:
    for piece in executable.written(session, script, layers):
        out.write(piece)
    out.flush()
    return os.fstat(out.fileno()).st_size


_BUILDERS: dict[Form, Callable[[Session, Contents, Form], Built]] = {
    "archive": _archive,
    "image": _image,
    "executable": _executable,
    "lambda": _lambda,
    "wheel": _wheel,
    "sagemaker": _image,
    "vertex": _image,
    "azureml": _image,
}
