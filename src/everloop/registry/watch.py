"""The port to who watches over models that run in this process, so that one that ends it again and again is found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from everloop.registry.flavor import Predictor


class ModelWatch(Protocol):
    """Watches models being loaded and run."""

    def admit(self, digest: str, load: Callable[[], Predictor]) -> Predictor:
        """The model that `load` gives, or one that refuses to be asked, where it is known to crash."""
        ...


class Unwatched:
    """Lets every model in as it is."""

    def admit(self, digest: str, load: Callable[[], Predictor]) -> Predictor:
        """The model itself."""
        return load()
