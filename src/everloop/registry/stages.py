"""MLflow's stages, which aliases have replaced: kept for old clients, and never at odds with the aliases.

`production` names the newest version in the stage Production, `staging` the newest in Staging. Whoever moves such an
alias by hand means that one version: the others of the stage are archived.
"""

from __future__ import annotations

from typing import get_args

from sqlalchemy import ColumnElement, select, update

from everloop.catalog.session import Session
from everloop.kernel.errors import InvalidInput
from everloop.registry import rows
from everloop.registry.entities import ModelVersion, Stage, StageMoved
from everloop.registry.tables import models, versions

ALIASES: dict[Stage, str] = {"Staging": "staging", "Production": "production"}
"""The stages that are in use, and the alias of each."""
_NAMES: dict[str, Stage] = {stage.lower(): stage for stage in get_args(Stage)}


def stage_of(text: str) -> Stage:
    """The stage that a text means, in whatever case.

    Raises:
        InvalidInput: there is no such stage.
    """
    found = _NAMES.get(text.lower())
    if found is None:
        known = ", ".join(get_args(Stage))
        raise InvalidInput(f"Invalid Model Version stage: {text[:80]}. Value must be one of {known}.")
    return found


def of_alias(alias: str) -> Stage | None:
    """The stage that an alias stands for, if any."""
    return next((stage for stage, name in ALIASES.items() if name == alias), None)


def numbers_in(session: Session, name: str, stage: Stage) -> list[int]:
    """The versions in a stage, newest first."""
    return list(session.scalars(select(versions.c.version).where(_in(session, name, stage)).order_by(_NEWEST)))


def put(session: Session, known: ModelVersion, stage: Stage) -> None:
    """Put a version into a stage."""
    here = rows.of(session, versions, known.model, known.version)
    session.execute(update(versions).where(here).values(stage=stage, updated=session.clock.now()))
    touch(session, known.model)
    if known.stage != stage:
        urn = session.urn("model", known.model, known.version)
        session.emit(StageMoved(subject=urn, version=known.version, stage=stage, previous=known.stage))


def empty(session: Session, name: str, stage: Stage, into: Stage, but: int = 0) -> None:
    """Move the versions of a stage into another one, except one of them."""
    found = session.all(ModelVersion, select(versions).where(_in(session, name, stage)))
    for known in found:
        if known.version != but:
            put(session, known, into)


def touch(session: Session, name: str) -> None:
    """Note that a model changed now."""
    session.execute(update(models).where(rows.named(session, name)).values(updated=session.clock.now()))


_NEWEST = versions.c.version.desc()


def _in(session: Session, name: str, stage: Stage) -> ColumnElement[bool]:
    return rows.of(session, versions, name) & (versions.c.stage == stage)
