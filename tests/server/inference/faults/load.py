"""Clients that keep their connections and ask without a pause, and what each of them was told."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from urllib.parse import urlsplit

Make = Callable[[int], Mapping[str, object]]


@dataclass
class Told:
    """A request's number, its status, and the outputs of its answer by name."""

    number: int
    status: int
    outputs: dict[str, list[object]]
    version: str
    text: str = ""


@dataclass
class Clients:
    """Threads that ask for the predictions that `make` makes of a number, until the end of the context.

    A connection that breaks is counted, and the same request sent again on a new one.
    """

    address: str
    path: str
    make: Make
    count: int = 4
    told: list[Told] = field(default_factory=list)
    broken: list[int] = field(default_factory=list)

    def __enter__(self) -> Clients:
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(n,), daemon=True) for n in range(self.count)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def wait(self, more: int) -> None:
        """Until so many more requests were answered."""
        wanted, patience = len(self.told) + more, threading.Event()
        for _ in range(3000):
            if len(self.told) >= wanted:
                return
            patience.wait(0.01)
        raise AssertionError(f"only {len(self.told)} of {wanted} were answered")

    @property
    def refused(self) -> Sequence[Told]:
        """What was not answered with a prediction."""
        return [told for told in self.told if told.status != 200]

    def _ask(self, first: int) -> None:
        where = urlsplit(self.address)
        number, connection = first * 1_000_000, None
        while not self._stop.is_set():
            body = json.dumps(self.make(number))
            try:
                connection = connection or http.client.HTTPConnection(where.hostname or "", where.port, timeout=20)
                connection.request("POST", self.path, body, {"Content-Type": "application/json"})
                response = connection.getresponse()
                answer = response.read()
            except (OSError, http.client.HTTPException):
                self.broken.append(number)
                connection = None
                self._stop.wait(0.01)
                continue
            self.told.append(_told(number, response.status, answer))
            number += 1


def _told(number: int, status: int, answer: bytes) -> Told:
    if status != 200:
        return Told(number, status, {}, "", answer.decode())
    said = json.loads(answer)
    return Told(number, status, {one["name"]: one["data"] for one in said["outputs"]}, said.get("model_version", ""))
