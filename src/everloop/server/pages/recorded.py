"""A run with everything that went in and came out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
from markupsafe import Markup

from everloop.governance.roles import allows
from everloop.registry.entities import ModelVersion
from everloop.registry.search.entities import VersionPage
from everloop.server.pages import plots
from everloop.server.pages.markdown import html
from everloop.server.pages.plots import Plot
from everloop.server.pages.site import Page, Visit
from everloop.server.pages.words import number
from everloop.tracking.entities import Artifact, Environment, Run
from everloop.tracking.traces.entities import Trace, TracePage

TILES = 8
TAIL = 16_000
"""So many characters of the console's end are shown."""
CHANGES = 100_000
_RELATIVES = 100
_TRACES = 20


class Folder(msgspec.Struct, frozen=True):
    """A folder of artifacts, with how much is below it."""

    name: str
    folders: Sequence[Folder]
    files: Sequence[Artifact]
    count: int
    size: int


class RunPage(msgspec.Struct, frozen=True):
    """A run: `changes` is what of its code no commit holds, `console` the end of what it printed."""

    run: Run
    urn: str
    tiles: Sequence[tuple[str, str]]
    plots: Sequence[Plot]
    system: Sequence[Plot]
    note: Markup
    artifacts: Folder
    environment: Environment | None
    changes: str
    console: str
    versions: Sequence[ModelVersion]
    parent: Run | None
    children: Sequence[Run]
    beside: Run | None
    traces: Sequence[Trace]
    took: timedelta
    may_write: bool


def run(visit: Visit) -> Page:
    """A run."""
    found: Run = visit.ask("runs.get", id=visit.path["id"])
    own, system = plots.of_run(visit, found)
    artifacts: list[Artifact] = visit.ask("runs.artifacts", id=found.id)
    it = RunPage(
        run=found,
        urn=f"run:{visit.project}/{found.id}",
        tiles=_tiles(found),
        plots=own,
        system=system,
        note=html(found.note, top=3),
        artifacts=folder(artifacts),
        environment=visit.environment(found.environment),
        changes=visit.text(found.code.diff_digest, CHANGES),
        console=_console(visit, artifacts),
        versions=_versions(visit, found.id),
        parent=visit.asked_or(None, "runs.get", id=found.parent) if found.parent else None,
        children=visit.ask("runs.search", where=f"parent = '{found.id}'", limit=_RELATIVES),
        beside=_beside(visit, found),
        traces=_traces(visit, found.id),
        took=_until(found, visit.now) - found.started,
        may_write=allows(visit.principal.roles, "tracking:write"),
    )
    return Page("run.html", f"{found.experiment} / {found.name}", it)


def folder(artifacts: Sequence[Artifact], name: str = "", depth: int = 0) -> Folder:
    """Files as the tree that their paths make."""
    files, below = [], dict[str, list[Artifact]]()
    for artifact in artifacts:
        parts = artifact.path.split("/")
        if len(parts) - depth == 1:
            files.append(artifact)
        else:
            below.setdefault(parts[depth], []).append(artifact)
    folders = [folder(inside, inner, depth + 1) for inner, inside in sorted(below.items())]
    return Folder(name, folders, files, len(artifacts), sum(artifact.size for artifact in artifacts))


def _tiles(run: Run) -> list[tuple[str, str]]:
    plain = [(key, value) for key, value in run.metrics.items() if "[" not in key and not key.startswith(plots.SYSTEM)]
    return [(key, number(value)) for key, value in plain[:TILES]]


def _until(run: Run, now: datetime) -> datetime:
    return run.ended or max(now, run.started)


def _console(visit: Visit, artifacts: Sequence[Artifact]) -> str:
    """The end of what the run printed; the newest file where it was resumed on several machines."""
    printed = [each for each in artifacts if each.path.startswith("console") and each.path.endswith(".txt")]
    if not printed:
        return ""
    newest = printed[-1]
    text = visit.text(newest.digest, TAIL, start=max(newest.size - TAIL, 0))
    return text.partition("\n")[2] if newest.size > TAIL else text


def _versions(visit: Visit, run: str) -> list[ModelVersion]:
    """The model versions that a run made."""
    page: VersionPage | None = visit.asked_or(None, "models.search_versions", filter=f"run_id = '{run}'", limit=20)
    return page.versions if page else []


def _beside(visit: Visit, run: Run) -> Run | None:
    """A run to compare it with: the newest other one of its experiment."""
    newest: list[Run] = visit.ask("runs.search", experiment=run.experiment, limit=2)
    return next((each for each in newest if each.id != run.id), None)


def _traces(visit: Visit, run: str) -> Sequence[Trace]:
    page: TracePage | None = visit.asked_or(None, "traces.search", where=f"run_id = '{run}'", limit=_TRACES)
    return page.traces if page else ()
