"""What is known of compilations: looked up when a model is loaded, so nothing heavy is imported here."""

from __future__ import annotations

from sqlalchemy import ColumnElement, delete, select

from everloop.catalog.session import Session
from everloop.registry.compilation.entities import Compilation, ModelCompiled
from everloop.registry.compilation.tables import compilations
from everloop.registry.entities import Model


def known(session: Session, model: Model) -> Compilation | None:
    """What is known of a model's compilation."""
    with session.begin(write=False) as unit:
        return unit.first(Compilation, select(compilations).where(_here(unit, model.flavor, model.digest)))


def keep(session: Session, made: Compilation) -> Compilation:
    """Keep a compilation in place of what was known of the model."""
    with session.begin() as unit:
        unit.execute(delete(compilations).where(_here(unit, made.flavor, made.digest)))
        unit.insert(compilations, made)
        unit.emit(
            ModelCompiled(
                subject=unit.urn("files", made.digest),
                digest=made.digest,
                rows=made.evidence.rows,
                equal=made.evidence.equal,
                difference=made.evidence.difference,
            )
        )
    return made


def _here(session: Session, flavor: str, digest: str) -> ColumnElement[bool]:
    own = (compilations.c.project == session.project) & (compilations.c.flavor == flavor)
    return own & (compilations.c.digest == digest)
