"""Served models follow their aliases: when one moves, its new version is loaded and warm, and answers from then on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING

from everloop.catalog.session import Session
from everloop.server.inference.served import ServedModel
from everloop.serving.reference import load_version, parse, resolve

if TYPE_CHECKING:
    from everloop.server.inference.repository import Repository

LOOK_SECONDS = 0.5
"""How often aliases are looked up."""
log = logging.getLogger("everloop.server")


class Following:
    """The models that a process was told to serve, at the versions that their references lead to now."""

    def __init__(self, session: Session, references: Sequence[str]) -> None:
        self._session = session
        self._references = [parse(reference) for reference in references]
        self._has_alias = any(reference.alias for reference in self._references)
        self._served: dict[tuple[str, int], ServedModel] = {}
        self._looking = Lock()
        self._stopped = Event()
        self._repository: Repository | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._watch = Thread(target=self._keep_looking, name="aliases", daemon=True)
        self._served = self._loaded()

    def served(self) -> list[ServedModel]:
        """What is served now, in the order of the references."""
        return list(self._served.values())

    def start(self, repository: Repository) -> None:
        """Begin to look. Called in the event loop that serves."""
        self._repository, self._loop = repository, asyncio.get_running_loop()
        if self._has_alias:
            self._watch.start()

    def look(self) -> float:
        """Look now; what has moved is served when this returns. Called in any thread but the event loop's."""
        with self._looking:
            after = self._loaded()
            if list(after) != list(self._served) and self._repository is not None and self._loop is not None:
                swapped = self._repository.follow(self.served(), list(after.values()))
                asyncio.run_coroutine_threadsafe(swapped, self._loop).result()
                self._served = after
        return 0.0

    def close(self) -> None:
        """Look no more."""
        self._stopped.set()

    def _loaded(self) -> dict[tuple[str, int], ServedModel]:
        wanted = resolve(self._session, self._references)
        return {one: self._served.get(one) or self._warm(*one) for one in wanted}

    def _warm(self, name: str, version: int) -> ServedModel:
        """A version that has been asked before anybody asks."""
        served = ServedModel(load_version(self._session, name, version))
        served.compute([served.sample(1)])
        return served

    def _keep_looking(self) -> None:
        while not self._stopped.wait(LOOK_SECONDS):
            try:
                self.look()
            except Exception as error:  # noqa: BLE001  # Whatever is wrong outside, what is loaded goes on answering.
                log.warning("models stay at the versions that they have: %s", error)
