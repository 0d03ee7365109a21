"""What stands behind the @ of a reference: a version, a tag, a branch, or a time."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from sqlalchemy import select

from everloop.catalog.session import Session
from everloop.datasets.history.heads import MAIN, head_of
from everloop.datasets.history.tables import tags
from everloop.kernel.errors import InvalidInput, NotFound
from everloop.kernel.ids import NAME_PATTERN


def version_at(unit: Session, name: str, at: str) -> int:
    """The version of a dataset that `2`, `a-tag`, `a-branch` or `2013-05-01T00:00:00Z` names.

    A time names the version that was the newest of main at that moment; tags go before branches.

    Raises:
        InvalidInput: it is none of these, or a time without a zone.
        NotFound: there is no such tag, branch, or there was nothing at that time.
    """
    if at.isdecimal() and at.isascii():
        return int(at)
    found = tagged(unit, name, at) or head_of(unit, name, at)
    if found:
        return found
    moment = _moment(at)
    if moment is not None:
        return version_as_of(unit, name, moment)
    if re.match(NAME_PATTERN, at):
        raise NotFound(
            f"Dataset {name!r} has no tag and no branch {at!r}.",
            hint=f"everloop datasets tags {name} and everloop datasets branches {name} list them.",
        )
    raise InvalidInput(f"{at!r} names no version.", hint="Write a number, a tag, a branch, or 2013-05-01T00:00:00Z.")


def tagged(unit: Session, name: str, tag: str) -> int:
    """The version that a tag names; 0 when there is no such tag."""
    here = (tags.c.project == unit.project) & (tags.c.dataset == name) & (tags.c.name == tag)
    found = unit.scalars(select(tags.c.version).where(here))
    return int(found[0]) if found else 0


def version_as_of(unit: Session, name: str, moment: datetime, branch: str = MAIN) -> int:
    """The version that a branch stood at at a moment.

    Raises:
        NotFound: there was none yet.
    """
    found = head_of(unit, name, branch, moment)
    if not found:
        raise NotFound(f"Dataset {name!r} had no version on {branch!r} at {moment.isoformat()}.")
    return found


def require_new_name(name: str) -> None:
    """Refuse a name for a branch or a tag that a reference would read as a version or a time.

    Raises:
        InvalidInput: it is a number or a date.
    """
    if name.isdecimal() or _parsed(name) is not None:
        raise InvalidInput(f"{name!r} reads like a version or a time.", hint="Begin the name with a letter.")


def _moment(text: str) -> datetime | None:
    found = _parsed(text)
    if found is not None and found.tzinfo is None:
        raise InvalidInput(f"{text!r} has no time zone.", hint="Write 2013-05-01T00:00:00Z.")
    return found and found.astimezone(UTC)


def _parsed(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
