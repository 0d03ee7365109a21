"""`everloop predict`: a model's predictions for many rows, out of files, datasets or streams."""

from __future__ import annotations

import signal
from pathlib import Path
from threading import Event
from time import monotonic
from typing import TYPE_CHECKING, get_args

import click

from everloop.cli.bars import progress
from everloop.cli.door import Command, this_door
from everloop.cli.reference import reference
from everloop.serving.batch.entities import DATASET, BatchOptions, BatchReport, RowPolicy

if TYPE_CHECKING:
    from everloop.serving.batch.predict import Asked


@click.command(cls=Command)
@click.argument("model", metavar="MODEL[@VERSION|@ALIAS]")
@click.option("--in", "source", required=True, metavar="PATH|PATTERN|dataset:NAME", help="What is predicted.")
@click.option("--out", required=True, metavar="PATH|dataset:NAME", help="A table by its name, or a folder.")
@click.option("--key", multiple=True, metavar="COLUMN", help="A column that tells rows apart; it is copied.")
@click.option("--columns", multiple=True, metavar="COLUMN", help="Copied, too; all that no input is if not given.")
@click.option("--at", default="", metavar="COLUMN", help="When each row asks, for features as known then.")
@click.option("--rows", type=click.Choice(get_args(RowPolicy)), default="fail", show_default=True, help="Refused rows.")
@click.option("--workers", default=0, help="How many at once; one a core if not given.")
@click.option("--endpoint", default="", metavar="NAME", help="Ask this endpoint, and log the predictions as its own.")
@click.option("--follow", is_flag=True, help="Go on with what comes: a log of JSON lines, a folder of them, redis://….")
@click.option("--latency", default="100ms", show_default=True, help="How long a record may wait, with --follow.")
@click.option("--idle", default="", metavar="TIME", help="With --follow: end when nothing has come for so long.")
@click.option("--resume", is_flag=True, help="Go on where an interrupted run stopped.")
def predict(
    model: str,
    source: str,
    out: str,
    key: tuple[str, ...],
    columns: tuple[str, ...],
    at: str,
    rows: RowPolicy,
    workers: int,
    endpoint: str,
    follow: bool,
    latency: str,
    idle: str,
    resume: bool,
) -> None:
    """Predict all rows of files, of what a pattern finds, or of a dataset; beside each, the columns that are copied.

    With --follow, records of a stream, as they come, each once: killed at any point, it goes on where its results end.
    """
    from everloop.serving.batch.output import Output
    from everloop.serving.batch.predict import Asked, How, into_dataset
    from everloop.serving.batch.predict import predict as predicted

    door = this_door()
    wanted = reference(model)
    copied = tuple(dict.fromkeys((*key, *columns))) or None
    asked = Asked(
        wanted.name,
        wanted.alias or (str(wanted.version) if wanted.version else ""),
        source,
        BatchOptions(copied, at, rows),
        endpoint,
    )
    if follow:
        _follow(asked, out, latency, idle)
        return
    how = How(workers, resume)
    session = door.local.session(project=door.options.get("project") or "")
    with progress(door, "rows") as bars, session.activate():
        if out.startswith(DATASET):
            folder = session.home / "predictions" / session.project
            made, report = into_dataset(session, asked, out.removeprefix(DATASET), folder, how, bars)
            report = _into(report, f"{DATASET}{made.dataset}@{made.version}")
        else:
            report = predicted(session, asked, Output(Path(out)), how, bars)
    door.show(report) if door.json else click.echo(_told(report))


def _follow(asked: Asked, out: str, latency: str, idle: str) -> None:
    """Predict what comes until somebody interrupts, or nothing has come for a while."""
    from everloop.kernel.durations import duration
    from everloop.serving.batch.follow import following

    door = this_door()
    session = door.local.session(project=door.options.get("project") or "")
    patience = duration(idle).total_seconds() if idle else float("inf")
    over = Event()
    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, lambda *_: over.set())
    with session.activate(), following(session, asked, out, duration(latency).total_seconds()) as follower:
        last = monotonic()
        while not over.is_set() and monotonic() - last < patience:
            if follower.step(min(0.5, patience)):
                last = monotonic()
                now = follower.now
                line = f"{now.records:,} records, {now.refused:,} refused, {now.lag:,} wait, {now.rate:,.0f}/s"
                click.echo(line, err=True) if not door.json else None
        door.show(follower.now)


def _into(report: BatchReport, out: str) -> BatchReport:
    from msgspec.structs import replace

    return replace(report, out=out)


def _told(report: BatchReport) -> str:
    """A line about a batch."""
    fresh = report.rows - report.resumed
    extra = f", {report.resumed:,} of them from before" if report.resumed else ""
    refused = f"; {report.refused:,} were refused, with a reason beside each" if report.refused else ""
    rate = f"{fresh / max(report.seconds, 1e-9):,.0f} rows/s"
    return (
        f"{report.rows:,} rows by {report.model}@{report.version}{extra} are in {report.out}: {report.seconds:.1f} s, "
        f"{rate}{refused}."
    )
