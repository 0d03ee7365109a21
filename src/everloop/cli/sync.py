"""`everloop runs sync`: sends the runs that are only in the journals of this machine."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import click

from everloop.cli.bars import progress
from everloop.cli.door import Command, this_door
from everloop.kernel.errors import NotFound, Unavailable

if TYPE_CHECKING:
    from everloop.tracking.journals.destination import Destination


@click.command(cls=Command)
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Only say what there is to send.")
def sync(folder: Path | None, dry_run: bool) -> int:
    """Send runs that were recorded offline, or whose process was killed, from FOLDER (the home's journals).

    Each is sent exactly once, however often this is interrupted. A run whose process left no word is killed.
    """
    from everloop.tracking.journals.sync import left_in
    from everloop.tracking.journals.sync import sync as send

    door = this_door()
    if folder is not None and not folder.is_dir():
        raise NotFound(f"There is no folder {folder}.", hint="Journals are in the folder `journals` of a home.")
    place = _journals(folder) if folder is not None else Path(door.settings.values.home) / "journals"
    if dry_run or not place.is_dir():
        found = list(left_in(place))
    else:
        with progress(door) as bars:
            found = list(send(place, _destination(), lambda _, message: warnings.warn(message, stacklevel=2), bars))
    door.show(found)
    return Unavailable.exit_code if any(one.outcome == "failed" for one in found) else 0


def _journals(folder: Path) -> Path:
    """A home, its journals, or one run's."""
    return folder / "journals" if (folder / "journals").is_dir() else folder


def _destination() -> Destination:
    from everloop.app.destinations import Embedded, Remote
    from everloop.app.platform import Platform

    door = this_door()
    project = door.settings.values.project
    if isinstance(door.platform, Platform):
        return Embedded(door.platform, project)
    return Remote(door.platform, project)
