"""Experiments of other trackers, by the names that they get here."""

from __future__ import annotations

import re
from collections.abc import Sequence

from everloop.catalog.session import Session
from everloop.kernel.ids import NAME_PATTERN
from everloop.store.service import digest_of
from everloop.tracking import experiments
from everloop.tracking.entities import Experiment
from everloop.tracking.imports.entities import ForeignExperiment
from everloop.tracking.service import LONGEST_TITLE


def place(session: Session, found: Sequence[ForeignExperiment]) -> dict[str, str]:
    """The names here of experiments elsewhere, by their keys there; those that are missing here are made.

    One that is called the same here is the same.
    """
    with session.begin() as unit:
        known = {it.title or it.name: it.name for it in experiments.known(unit)}
        placed = {}
        for foreign in found:
            title = shown(foreign.title)[:LONGEST_TITLE] or "unnamed"
            if title not in known:
                known[title] = _add(unit, foreign, title)
            placed[foreign.key] = known[title]
    return placed


def shown(text: str) -> str:
    """A text of which nothing is left that cannot be printed."""
    return text if text.isprintable() else "".join(it if it.isprintable() else " " for it in text)


def _add(session: Session, foreign: ForeignExperiment, title: str) -> str:
    name = _name_for(session, title)
    made = Experiment(
        name,
        foreign.description,
        foreign.created,
        "" if name == title else title,
        foreign.tags,
        changed=session.clock.now(),
    )
    experiments.add(session, made)
    if foreign.deleted is not None:
        experiments.hide(session, made)
    return name


def _name_for(session: Session, title: str) -> str:
    """The title itself if it can be a name, else what is left of it and part of a hash."""
    if re.fullmatch(NAME_PATTERN, title) and experiments.first(session, title) is None:
        return title
    readable = re.sub(r"[^A-Za-z0-9._-]+", "-", title).strip("-._")[:100] or "experiment"
    name = f"{readable}-{digest_of(title.encode())[:8]}"
    return name if experiments.first(session, name) is None else f"{readable}-{session.new_id()[-12:]}"
