"""Experiments, with how many runs each has; and those that were deleted, which can be brought back."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from everloop.governance.roles import allows
from everloop.server.pages.markdown import bare
from everloop.server.pages.site import Page, Visit
from everloop.tracking.entities import Experiment, Run
from everloop.tracking.index.entities import RunPage


class Listed(msgspec.Struct, frozen=True):
    """An experiment in the list: how many runs it has in sight, and the newest of them."""

    experiment: Experiment
    count: int
    newest: Run | None
    about: str


class ExperimentsPage(msgspec.Struct, frozen=True):
    """Every experiment, or every deleted one."""

    listed: Sequence[Listed]
    deleted: bool
    others: int
    may_write: bool


def experiments(visit: Visit) -> Page:
    """The list of experiments; `?deleted=1` shows those that were deleted."""
    deleted = visit.query.get("deleted") == "1"
    known: list[Experiment] = visit.ask("experiments.list", deleted=deleted)
    it = ExperimentsPage(
        listed=[_listed(visit, each) for each in known],
        deleted=deleted,
        others=len(visit.ask("experiments.list", deleted=not deleted)),
        may_write=allows(visit.principal.roles, "tracking:write"),
    )
    return Page("experiments.html", "Deleted experiments" if deleted else "Experiments", it)


def _listed(visit: Visit, experiment: Experiment) -> Listed:
    found: RunPage = visit.ask("runs.page", experiment=experiment.name, limit=1)
    return Listed(experiment, found.total, found.runs[0] if found.runs else None, bare(experiment.description))
