"""Memory for packs that are being filled, used again: fresh pages cost several times what it costs to fill them."""

from __future__ import annotations

import threading
from mmap import MAP_ANONYMOUS, MAP_PRIVATE, mmap

from everloop.store import packs
from everloop.store.chunks import WHOLE

KEPT = 4
"""So many unused buffers are kept at most, however many packs were filled at once."""
IDLE_SECONDS = 2.0
"""When nobody has wanted one for so long, those that are unused are let go."""


class Buffers:
    """Buffers that hold a pack each. Threads may share them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._unused: list[memoryview] = []
        self._asked = False
        self._timer: threading.Timer | None = None

    def take(self) -> memoryview:
        """A buffer for a pack that is closed at its size; what is in it is left over from others."""
        with self._lock:
            self._asked = True
            if self._unused:
                return self._unused.pop()
        # Of a bytearray every page would be written once before it is used. Private, as a process that is forked has
        # the unused ones too: two that filled the same memory would write each other's bytes.
        return memoryview(mmap(-1, _size(), MAP_PRIVATE | MAP_ANONYMOUS))

    def give(self, buffer: memoryview) -> None:
        """Leave a buffer to others; nobody may look at it any more."""
        with self._lock:
            if len(self._unused) < KEPT and len(buffer) == _size():
                self._unused.append(buffer)
                self._wait()

    def _wait(self) -> None:
        if self._timer is None or not self._timer.is_alive():  # A process that was forked has no thread of before.
            self._timer = threading.Timer(IDLE_SECONDS, self._let_go)
            self._timer.daemon = True
            self._timer.start()

    def _let_go(self) -> None:
        with self._lock:
            self._timer = None
            if self._asked:
                self._asked = False
                self._wait()
            else:
                self._unused.clear()


def _size() -> int:
    """Room for what makes a pack full, and for its footer."""
    return packs.TARGET + 2 * WHOLE
