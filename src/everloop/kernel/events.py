"""Events: every change says what it did, in the transaction that does it."""

from __future__ import annotations

import msgspec


class Event(msgspec.Struct, frozen=True, tag_field="kind", kw_only=True):
    """The root of all events. An area declares its own: `class AliasMoved(Event, tag="models.alias_moved")`.

    `subject` is the URN of the thing that changed.
    """

    subject: str


def kind_of(event: Event) -> str:
    """The event's kind, such as `models.alias_moved`."""
    return str(type(event).__struct_config__.tag)
