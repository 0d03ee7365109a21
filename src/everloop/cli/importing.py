"""`everloop import`: brings over what other trackers hold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from everloop.cli.bars import progress
from everloop.cli.door import Command, this_door
from everloop.cli.naming import Suggesting
from everloop.kernel.errors import Corrupted, NotFound

if TYPE_CHECKING:
    from everloop.registry.imports import Registered
    from everloop.tracking.imports.entities import ForeignRegistered, Report, Source

_TOLD = 20
"""So many things that were not taken are told one by one to people."""


@click.group("import", cls=Suggesting)
def import_() -> None:
    """Bring runs and models over from another tracker.

    What was brought before is not brought twice: interrupted, an import goes on where it was, and repeated, it takes
    what is new. The source is only read. At the end some runs are read again and compared, value by value.
    """


_ARTIFACTS = click.option(
    "--artifacts", type=click.Path(path_type=Path), help="The folder that holds the files, where they are not in place."
)
_DRY = click.option("--dry-run", is_flag=True, help="Only count what there is to bring.")


@import_.command(cls=Command)
@click.argument("source")
@_ARTIFACTS
@_DRY
def mlflow(source: str, artifacts: Path | None, dry_run: bool) -> None:
    """Bring an MLflow store: a database (sqlite:///mlflow.db, postgresql://…) or a folder `mlruns`."""
    from everloop.tracking.imports.mlflow.folder import MlflowFolder
    from everloop.tracking.imports.mlflow.store import MlflowDatabase

    folder = _folder(artifacts)
    opened: MlflowFolder | MlflowDatabase
    place = Path(source.removeprefix("file://"))
    opened = MlflowFolder(place, folder) if place.is_dir() else MlflowDatabase(source, folder)
    _bring(opened, opened.registered, dry_run=dry_run)


@import_.command(cls=Command)
@click.argument("source", type=click.Path(path_type=Path))
@_ARTIFACTS
@_DRY
def neptune(source: Path, artifacts: Path | None, dry_run: bool) -> None:
    """Bring what neptune-exporter wrote: its folder of Parquet, and beside it or with --artifacts its files."""
    from everloop.tracking.imports.neptune import NeptuneExport

    _bring(NeptuneExport(source, _folder(artifacts)), None, dry_run=dry_run)


@import_.command(cls=Command)
@click.argument("source", type=click.Path(path_type=Path))
@_DRY
def tensorboard(source: Path, dry_run: bool) -> None:
    """Bring event files: the folder that `tensorboard --logdir` shows."""
    from everloop.tracking.imports.tensorboard import TensorBoardFolder

    _bring(TensorBoardFolder(source), None, dry_run=dry_run)


@import_.command(cls=Command)
@click.argument("source", type=click.Path(path_type=Path))
@_ARTIFACTS
@_DRY
def wandb(source: Path, artifacts: Path | None, dry_run: bool) -> None:
    """Bring what W&B's client wrote on this machine: the folder `wandb`, of runs that were offline or online.

    Files that runs saved or logged as artifacts come from below --artifacts.
    """
    from everloop.tracking.imports.wandb import WandbFolder

    _bring(WandbFolder(source, _folder(artifacts)), None, dry_run=dry_run)


def _bring(source: Source, registered: Callable[[], list[ForeignRegistered]] | None, *, dry_run: bool) -> None:
    from everloop.registry.imports import DELETED, Registered, bring
    from everloop.tracking.imports.bringing import Importing

    door = this_door()
    session = door.local.session(project=door.options.get("project") or "")
    with progress(door, "rows") as bars:
        report = Importing(session, source, bars).run(dry_run=dry_run)
    models = registered() if registered is not None else []
    if dry_run:
        versions = [it for model in models for it in model.versions if it.stage != DELETED]
        counted = Registered(len(models), len(versions))
    else:
        counted = bring(session, models)
    _tell(report, counted)


def _tell(report: Report, registered: Registered) -> None:
    door = this_door()
    untaken = (*report.untaken, *registered.untaken)
    whole = msgspec.structs.replace(
        report, models=registered.models, versions=registered.versions, untaken=untaken if door.json else ()
    )
    door.show(whole)
    for it in untaken[:_TOLD]:
        door.say(f"Not taken: {it.what}{f' of {it.of}' if it.of else ''}: {it.why}.")
    if len(untaken) > _TOLD:
        door.say(f"… and {len(untaken) - _TOLD:,} more: --json lists them all.")
    if report.wrong:
        raise Corrupted(
            f"{len(report.wrong)} values are not what the source holds: {', '.join(report.wrong[:5])}.",
            hint="Was it written to meanwhile? Then import once more.",
        )


def _folder(given: Path | None) -> Path | None:
    if given is not None and not given.is_dir():
        raise NotFound(f"There is no folder {given}.")
    return given
