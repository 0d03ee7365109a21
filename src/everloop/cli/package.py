"""`everloop package`: a model version as one file that runs elsewhere."""

from __future__ import annotations

from pathlib import Path

import click

from everloop.cli.door import Command, this_door
from everloop.cli.reference import reference
from everloop.kernel.errors import NotFound


@click.command(cls=Command)
@click.argument("model", metavar="MODEL[@VERSION|@ALIAS]")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="The file to write.")
def package(model: str, out: Path | None) -> None:
    """Pack a model version into one file that runs with Python alone, the same bytes each time."""
    door = this_door()
    asked = reference(model)
    built = door.call("packages.build", {"model": asked.name, "version": asked.version, "alias": asked.alias})
    if out is not None:
        _write(out, door.get_object(built.digest))
    if out is None or door.json:
        door.show(built)
        return
    click.echo(f"{model} is packed into {out}: {built.size:,} bytes, digest {built.digest[:12]}.")
    click.echo(f"It runs by itself: python {out} predict < columns.json, or python {out} manifest.")


def _write(out: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    temporary = out.with_name(f".{out.name}.partial")
    try:
        temporary.write_bytes(content)
        temporary.replace(out)
    except OSError as error:
        raise NotFound(f"{out} cannot be written ({error.strerror}).", hint="Choose another with --out.") from None
