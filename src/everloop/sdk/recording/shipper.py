"""The shipper: a thread that brings a run's journals to where it is recorded, while the training goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from everloop.kernel.errors import EverloopError, Unavailable
from everloop.tracking.journals.destination import Destination
from everloop.tracking.journals.shipment import OUR_FAULT, NotYet, Shipment

EVERY = 0.5
"""Seconds between two looks at the journals."""
_LONGEST_WAIT = 30.0
PATIENCE = 30.0
"""So many seconds the end of a run waits for a server that was there before."""


class Shipper:
    """Ships one run. It opens the destination itself, so that nobody waits for one."""

    def __init__(self, folder: Path, opener: Callable[[], Destination], warn: Callable[[str, str], None]) -> None:
        self._folder = folder
        self._opener = opener
        self._warn = warn
        self._lock = threading.RLock()
        self._ended = threading.Event()
        self._destination: Destination | None = None
        self._shipment: Shipment | None = None
        self._reached = self._hopeful = False

    def start(self) -> None:
        """Start to ship."""
        threading.Thread(target=self._work, name="everloop-shipper", daemon=True).start()

    @property
    def destination(self) -> Destination:
        """Where the run goes, opened at first use.

        Raises:
            EverloopError: it cannot be opened.
        """
        with self._lock:
            if self._destination is None:
                self._destination = self._opener()
            return self._destination

    def sync(self) -> bool:
        """Ship what the journals say by now; whether it has arrived."""
        return self._insist(Shipment.ship)

    def finish(self) -> bool:
        """Ship the rest and end the run there; whether it has arrived. It is not started again."""
        self._ended.set()
        arrived = self._insist(Shipment.end)
        if self._destination is not None:
            self._destination.close()
        return arrived

    def _work(self) -> None:
        self._attempt(None)  # What it takes to open a platform is done while the training begins.
        wait = EVERY
        while not self._ended.wait(wait):
            wait = EVERY if self._attempt(Shipment.ship) else min(2 * wait, _LONGEST_WAIT)

    def _insist(self, action: Callable[[Shipment], object]) -> bool:
        """Try until it works, or until a destination that was there before has been away for long."""
        until = time.monotonic() + PATIENCE
        wait = 0.02
        while not self._attempt(action):
            if not self._hopeful or time.monotonic() > until:
                return False
            time.sleep(wait)
            wait = min(2 * wait, 1.0)
        return True

    def _attempt(self, action: Callable[[Shipment], object] | None) -> bool:
        with self._lock:
            try:
                if self._shipment is None:
                    self._shipment = Shipment(self._folder, self.destination, self._warn)
                if action is not None:  # A server that is only opened has not answered yet.
                    action(self._shipment)
                    self._reached = self._hopeful = True
            except NotYet:
                self._hopeful = True
                return False
            except EverloopError as error:
                self._hopeful = self._reached and (isinstance(error, Unavailable) or error.status >= OUR_FAULT)
                self._warn(error.code, f"Runs are only kept in {self._folder.parent} for now: {error}")
                return False
            except Exception as error:  # noqa: BLE001 - whatever goes wrong here, the training goes on
                self._hopeful = False
                told = f"{type(error).__name__}: {error}"
                self._warn(told, f"Run {self._folder.name} could not be shipped and is kept in {self._folder}: {told}")
                return False
            return True
