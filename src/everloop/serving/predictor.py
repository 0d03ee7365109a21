"""The predictor of an endpoint: features by key, the variant by the label's key, one run a variant, then the log.

Nothing is answered that is not in the log. A request with an id of its own that comes again gets the logged answer.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from threading import Event, Lock, Thread

import numpy as np
from msgspec.structs import replace

from everloop.catalog.session import Session
from everloop.kernel.errors import EverloopError
from everloop.serving.committer import Committer
from everloop.serving.computed import Computed, Done
from everloop.serving.entities import FeedbackReceipt, Label
from everloop.serving.inferencelog import LogReader, LogWriter
from everloop.serving.labellog import LabelWriter
from everloop.serving.logkeys import log_keys
from everloop.serving.request import Answer, PredictionRequest
from everloop.serving.requestindex import RequestIndex
from everloop.serving.turn import Turn
from everloop.serving.variants import Routing, load_routing

REFRESH_SECONDS = 0.5
"""How often the traffic is looked up in the background."""
log = logging.getLogger("everloop.serving")


class EndpointPredictor:
    """Answers for one endpoint, in one process. Several threads may ask; they are answered one after another."""

    def __init__(self, session: Session, name: str) -> None:
        self._session = session
        self._name = name
        self._routing = load_routing(session, name)
        self._committer = Committer(LogWriter(session.home, session.project, name), name)
        self._labels = LabelWriter(session.home, session.project, name)
        self._index = RequestIndex(LogReader(session.home, session.project, name))
        self._answering = Lock()
        self._refreshing = Lock()
        self._stopped = Event()
        self._watch = Thread(target=self._keep_fresh, name=f"refresh {name}", daemon=True)

    @property
    def routing(self) -> Routing:
        """The traffic as this process sees it."""
        return self._routing

    @property
    def hung(self) -> int:
        """How many runs of models hang: what only a new process helps against."""
        return self._routing.hung

    def predict(self, columns: Mapping[str, np.ndarray], request_id: str = "", at: datetime | None = None) -> Answer:
        """Predict rows and log them. 50 rows of 20 features and 100 trees cost ~1.5 ms.

        Raises:
            InvalidInput: columns are missing, unknown, or not what the models take.
            Unavailable: the log could not be written, so nothing was answered.
        """
        answer = self.predict_all([PredictionRequest(columns, request_id, at)])[0]
        if isinstance(answer, EverloopError):
            raise answer
        return answer

    def predict_all(self, requests: Sequence[PredictionRequest]) -> list[Answer | EverloopError]:
        """Answer several requests together, once they are in the log; each gets an answer or an error of its own."""
        return self.compute(requests).wait()

    def compute(self, requests: Sequence[PredictionRequest]) -> Uncommitted:
        """Answers that are not in the log yet: `commit` puts them there. Turns are committed in their order."""
        with self._answering:
            turn = Turn(self._routing, self._index, self._session)
            turn.take(requests)
        return Uncommitted(turn, self._committer)

    def feedback(self, labels: Sequence[Label]) -> FeedbackReceipt:
        """Keep labels of this endpoint's units.

        Raises:
            InvalidInput: a label has no key, or its value is not a finite number.
        """
        if self._routing.endpoint.log.pseudonyms:
            keys = log_keys(self._session.home, self._session.project)
            labels = [replace(label, key=keys.pseudonym(label.key)) if label.key else label for label in labels]
        return self._labels.append(labels, self._session.clock.now())

    def refresh(self) -> int:
        """Look up the traffic now and swap it in; the revision. Requests go on meanwhile, by the old one or the new."""
        with self._refreshing:
            self._routing = load_routing(self._session, self._name, self._routing)
            self._index.catch_up()
        return self._routing.endpoint.revision

    def start(self) -> None:
        """Begin to refresh in the background."""
        self._watch.start()

    def close(self) -> None:
        """Stop refreshing and give back the files."""
        self._stopped.set()
        if self._watch.is_alive():
            self._watch.join()
        with self._answering:
            self._committer.close()
            self._labels.close()
        for variant in self._routing.variants:
            if variant.guard is not None:
                variant.guard.close()

    def _keep_fresh(self) -> None:
        while not self._stopped.wait(REFRESH_SECONDS):
            try:
                self.refresh()
            except Exception as error:  # noqa: BLE001  # Whatever is wrong outside, what is loaded goes on answering.
                log.warning(
                    "endpoint %s goes on at revision %s: %s", self._name, self._routing.endpoint.revision, error
                )


class Uncommitted(Computed[Answer]):
    """Answers that may be given once their turn is in the log; `routing` is the traffic that they were computed by."""

    __slots__ = ("_committer", "_turn", "routing")

    def __init__(self, turn: Turn, committer: Committer) -> None:
        super().__init__(turn.answers)
        self._turn, self._committer, self.routing = turn, committer, turn.routing

    def commit(self, done: Done) -> None:
        """Have the answers logged."""
        self._turn.done = done
        self._committer.submit(self._turn)
