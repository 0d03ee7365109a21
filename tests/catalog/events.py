"""Events for the catalog's own tests."""

from __future__ import annotations

from everloop.kernel.events import Event


class Noted(Event, frozen=True, kw_only=True, tag="tests.noted"):
    """Something was noted."""

    text: str = ""
