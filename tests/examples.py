"""How many examples a property is tried on: all in `make test`, some in the inner loop."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("full", deadline=None)
settings.register_profile("quick", deadline=None, max_examples=15)


def choose(*, quick: bool) -> None:
    """Decide it for this run, before any test is read."""
    settings.load_profile("quick" if quick else "full")


def examples(many: int) -> int:
    """As many in the full run; in the quick one the same share of them that other properties are tried on."""
    return max(5, many * settings.default.max_examples // 100)
