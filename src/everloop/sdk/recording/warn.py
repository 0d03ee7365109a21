"""What goes wrong while recording is told once, as a warning: training never stops because of tracking."""

from __future__ import annotations

import sys
import warnings


class TrackingWarning(UserWarning):
    """Something could not be recorded or shipped; the training goes on."""


class Warner:
    """Tells each kind of trouble once."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def __call__(self, about: str, message: str) -> None:
        """Warn of something, unless it was warned of before."""
        if about in self._told:
            return
        self._told.add(about)
        try:
            warnings.warn(message, TrackingWarning, stacklevel=2)
        except TrackingWarning as warning:  # Warnings are errors here, and this thread has nobody to raise them to.
            print(f"everloop: {warning}", file=sys.stderr)  # noqa: T201 - the only way left to tell it
