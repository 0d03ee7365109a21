"""A worker's watch over its models: its page says which one runs, and what is in quarantine is not run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from everloop.kernel.errors import Unavailable
from everloop.registry.flavor import Predictor, TensorPredictor
from everloop.server.replicas.pages import Page

if TYPE_CHECKING:
    import numpy as np

    from everloop.registry.entities import Field

_NOBODY = b"\0"


class Notice(msgspec.Struct, frozen=True):
    """What the supervisor tells its workers: why which models are not run, by digest, and its own part of the metrics.

    `restarts` counts the workers that had to be replaced.
    """

    reasons: dict[str, str] = {}
    metrics: str = ""
    wanted: int = 0
    restarts: int = 0


class PageWatch:
    """Notes models on the worker's page; reads from the supervisor's which are in quarantine."""

    def __init__(self, control: Page, own: Page) -> None:
        self._control = control
        self._own = own
        self._seen = -1.0
        self._admitted: set[str] = set()
        self._notice = Notice()

    def admit(self, digest: str, load: Callable[[], Predictor]) -> Predictor:
        """The model, watched. One in quarantine is not loaded before it is let out and asked."""
        self._admitted.add(digest)
        watched = Watched(self, digest, load)
        if self.reason(digest):
            return watched
        watched.load()
        kind = WatchedTensors if isinstance(watched.inner, TensorPredictor) else Watched
        return kind(self, digest, load, watched.inner)

    def reason(self, digest: str) -> str:
        """Why a model is not run; empty when it may."""
        revision = self._control.get("revision")
        if revision != self._seen:
            text = self._control.read()
            if text:
                self._notice = msgspec.json.decode(text, type=Notice)
                self._seen = revision
        return self._notice.reasons.get(digest, "")

    def refuses(self, reasons: Mapping[str, str]) -> bool:
        """Whether a model that this worker was to serve is among those in quarantine."""
        return any(digest in reasons for digest in self._admitted)

    def suspicion(self, digest: str) -> tuple[memoryview, bytes]:
        """Where to write which bytes while a model runs."""
        return self._own.suspicion(digest)


class Watched:
    """A model whose runs are noted. What it can do beside predicting is asked of the model itself."""

    inputs: tuple[Field, ...]

    def __init__(
        self, watch: PageWatch, digest: str, load: Callable[[], Predictor], inner: Predictor | None = None
    ) -> None:
        self._watch = watch
        self._digest = digest
        self._load = load
        self._place, self._name = watch.suspicion(digest)
        self.inner = inner

    def load(self) -> Predictor:
        """The model, loaded now."""
        self._place[:] = self._name
        try:
            self.inner = self._load()
        finally:
            self._place[:1] = _NOBODY
        return self.inner

    def predict(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """What the model predicts.

        Raises:
            Unavailable: the model is in quarantine.
        """
        model = self._model()
        self._place[:] = self._name
        try:
            return model.predict(columns)
        finally:
            self._place[:1] = _NOBODY

    def contributions(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """How much each input moved each score.

        Raises:
            Unavailable: the model is in quarantine.
        """
        model = self._model()
        self._place[:] = self._name
        try:
            return model.contributions(columns)
        finally:
            self._place[:1] = _NOBODY

    def _model(self) -> Predictor:
        if reason := self._watch.reason(self._digest):
            raise Unavailable(reason, hint="Move the traffic to another version, or send the supervisor SIGHUP.")
        return self.inner or self.load()

    def __getattr__(self, name: str) -> object:
        return getattr(self._model(), name)


class WatchedTensors(Watched):
    """A watched model that names its outputs itself."""

    def infer(self, columns: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray | Sequence[str]]:
        """Each output by name.

        Raises:
            Unavailable: the model is in quarantine.
        """
        model = self._model()
        assert isinstance(model, TensorPredictor)
        self._place[:] = self._name
        try:
            return model.infer(columns)
        finally:
            self._place[:1] = _NOBODY
