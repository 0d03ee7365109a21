"""`everloop package`: a model version as something that runs elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import click

from everloop.cli.door import Command, Door, this_door
from everloop.cli.reference import reference
from everloop.kernel.errors import NotFound, Refused
from everloop.packaging.entities import IMAGES, Form, Package, Verification
from everloop.packaging.handing import name_of
from everloop.store.entities import TreeEntry
from everloop.store.paths import check_name, check_path

_LAYOUT = "skopeo copy oci:{out} docker-daemon:NAME:TAG, or everloop package … --push REGISTRY/NAME:TAG"
_RUNS = {
    "archive": "python {out} predict < columns.json, or python {out} manifest",
    "executable": "{out} predict < columns.json, or {out} serve --port 8080",
    "image": "docker load < {out}, or everloop package … --push REGISTRY/NAME:TAG",
    "lambda": "aws lambda create-function --zip-file fileb://{out} --cli-input-json file://lambda.json …",
    "wheel": "pip install {out}, then import its module and call predict",
}
_CLOUD = "push {out}/image.tar, then apply the files beside it"


@click.command(cls=Command)
@click.argument("model", metavar="MODEL[@VERSION|@ALIAS]")
@click.option("--form", type=click.Choice(get_args(Form)), default="archive", show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="The file to write; an image without .tar is a folder.")
@click.option("--papers", type=click.Path(path_type=Path), help="A folder for the bills of materials, signature, ….")
@click.option("--verify", is_flag=True, help="Run it apart from this installation, and compare its predictions.")
@click.option("--push", metavar="REGISTRY/NAME:TAG", help="Send the image to a registry.")
def package(model: str, form: Form, out: Path | None, papers: Path | None, verify: bool, push: str | None) -> None:
    """Pack a model version to run elsewhere, the same bytes each time."""
    door = this_door()
    asked = reference(model)
    arguments = {"model": asked.name, "version": asked.version, "alias": asked.alias, "form": form}
    built: Package = door.call("packages.build", arguments)
    named = {"model": built.model, "version": built.version, "form": built.form}
    if out is not None:
        out = _hand_out(door, built, out)
    if papers is not None or (out is not None and out.is_dir() and form != "image"):
        _write_papers(door, built, papers or out or Path())
    if verify:
        _verified(door, door.call("packages.verify", named))
    if push:
        door.show(door.call("packages.push", named | {"reference": push}))
    if out is None or door.json:
        door.show(built)
        return
    click.echo(f"{model} is packed into {out}: {built.size:,} bytes, digest {built.digest[:12]}.")
    runs = _LAYOUT if form == "image" and out.is_dir() else _RUNS.get(form, _CLOUD)
    click.echo(f"Run it: {runs.format(out=out)}.")


def _hand_out(door: Door, built: Package, out: Path) -> Path:
    """Write the package: a file, or an image's layout as a folder or as one tar; where it is.

    What a cloud wants is a folder with the image's tar and the files beside it.
    """
    if built.form not in IMAGES:
        out = out / name_of(built) if out.is_dir() else out
        _write(out, door.get_object(built.digest))
        if built.form == "executable":
            out.chmod(0o755)
        return out
    named = {"model": built.model, "version": built.version, "form": built.form}
    entries: list[TreeEntry] = door.call("packages.files", named)
    for entry in entries:
        check_path(entry.path)  # A server says it: nothing is written before all are known to stay below.
    if built.form != "image" or out.suffix == ".tar":
        _write_tar(door, entries, out if out.suffix == ".tar" else _folder(out) / "image.tar")
        return out
    for entry in entries:
        _write(_folder((out / entry.path).parent) / Path(entry.path).name, door.get_object(entry.digest))
    return out


def _write_papers(door: Door, built: Package, folder: Path) -> None:
    for name, digest in built.parts.items():
        _write(_folder(folder) / check_name(name), door.get_object(digest))


def _verified(door: Door, found: Verification) -> None:
    if not found.passed:
        raise Refused(
            f"The package answers otherwise than the model does: by up to {found.largest_difference:g}.",
            hint="Build it again; everloop packages verify runs it once more.",
        )
    door.say(f"It was run apart from this installation: {found.rows} predictions, each equal to the model's.")


def _write_tar(door: Door, entries: list[TreeEntry], out: Path) -> None:
    from everloop.packaging.image.layout import write_tar

    temporary = _beside(out)
    try:
        with temporary.open("wb") as file:
            write_tar(((entry, [door.get_object(entry.digest)]) for entry in entries), file)
        temporary.replace(out)
    except OSError as error:
        raise _unwritable(out, error) from None


def _write(out: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    temporary = _beside(out)
    try:
        temporary.write_bytes(content)
        temporary.replace(out)
    except OSError as error:
        raise _unwritable(out, error) from None


def _beside(out: Path) -> Path:
    return out.with_name(f".{out.name}.partial")


def _folder(path: Path) -> Path:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(path, error) from None
    return path


def _unwritable(out: Path, error: OSError) -> NotFound:
    return NotFound(f"{out} cannot be written ({error.strerror}).", hint="Choose another with --out.")
