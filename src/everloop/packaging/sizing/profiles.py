"""Profiles as they are kept and found."""

from __future__ import annotations

from sqlalchemy import select

from everloop.catalog.session import Session
from everloop.packaging.sizing.entities import ModelMeasured, ModelProfile
from everloop.packaging.sizing.tables import model_profiles


def newest_profile(session: Session, model: str, version: int) -> ModelProfile | None:
    """What was measured last of a version, if anything was."""
    table = model_profiles
    here = (table.c.project == session.project) & (table.c.model == model) & (table.c.version == version)
    found = session.scalars(select(table.c.profile).where(here).order_by(table.c.at.desc()).limit(1))
    return found[0] if found else None


def keep(session: Session, profile: ModelProfile) -> ModelProfile:
    """Keep what was measured."""
    row = {"model": profile.model, "version": profile.version, "at": profile.at, "profile": profile}
    session.insert(model_profiles, row)
    session.emit(
        ModelMeasured(
            subject=session.urn("model", profile.model, profile.version),
            version=profile.version,
            sustained=profile.sustained,
            latency_ms=profile.latency_ms,
            cpu_us=profile.cpu_us,
            memory_mib=profile.memory_mib,
        )
    )
    return profile
