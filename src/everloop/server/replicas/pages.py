"""Memory that a supervisor and its workers share: a page for each, written by one process and read by the others.

A page outlives its writer, so that what a killed worker counted, and what it was doing, can be read after its death.
"""

from __future__ import annotations

import mmap
import struct
from zlib import crc32

_NUMBERS = ("pid", "began", "beat", "busy", "ready", "connections", "revision", "draining")
_SUSPECT = 256
_SUSPECT_BYTES = 256
_TEXT = 4096
_TEXT_BYTES = 192 << 10
_HEADER = struct.Struct("<QI")
_HALVES = 8 * len(_NUMBERS)
"""Where it stands which half of a text is the newer one."""
_SIZE = 512 << 10
"""Only what is written to takes memory."""


class Page:
    """A process's page. Each number is written at once; a text is never seen half written, whenever its writer dies."""

    def __init__(self, memory: memoryview) -> None:
        self._memory = memory
        self._numbers = memory[:_HALVES].cast("d")

    def get(self, name: str) -> float:
        """One of the numbers."""
        return float(self._numbers[_NUMBERS.index(name)])

    def set(self, name: str, value: float) -> None:
        """Write one of the numbers."""
        self._numbers[_NUMBERS.index(name)] = value

    @property
    def suspect(self) -> str:
        """The model that runs now, or ran when the process died; empty between runs."""
        size = self._memory[_SUSPECT]
        return bytes(self._memory[_SUSPECT + 1 : _SUSPECT + 1 + size]).decode("ascii", "replace")

    def suspicion(self, name: str) -> tuple[memoryview, bytes]:
        """Where to write which bytes to say that a model runs: two writes a run, so they must cost nothing."""
        text = name.encode("ascii", "replace")[: _SUSPECT_BYTES - 1]
        content = bytes([len(text)]) + text
        return self._memory[_SUSPECT : _SUSPECT + len(content)], content

    def clear(self) -> None:
        """Make it an empty page."""
        for name in _NUMBERS:
            self.set(name, 0.0)
        self._memory[_SUSPECT] = 0
        self.write(b"")

    def write(self, text: bytes) -> None:
        """Replace the text; one that is too long is left out."""
        if len(text) > _TEXT_BYTES - _HEADER.size:
            return
        other = 1 - self._memory[_HALVES]
        start = _TEXT + other * _TEXT_BYTES
        self._memory[start : start + _HEADER.size] = _HEADER.pack(len(text), crc32(text))
        self._memory[start + _HEADER.size : start + _HEADER.size + len(text)] = text
        self._memory[_HALVES] = other

    def read(self) -> bytes:
        """The text; empty when it was written over twice meanwhile."""
        start = _TEXT + self._memory[_HALVES] * _TEXT_BYTES
        size, check = _HEADER.unpack(self._memory[start : start + _HEADER.size])
        text = bytes(self._memory[start + _HEADER.size : start + _HEADER.size + min(size, _TEXT_BYTES)])
        return text if crc32(text) == check else b""


class Pages:
    """The pages of a supervisor (the first) and of as many workers as there may be at once."""

    def __init__(self, workers: int) -> None:
        memory = memoryview(mmap.mmap(-1, _SIZE * (workers + 1)))
        pages = [Page(memory[at * _SIZE : (at + 1) * _SIZE]) for at in range(workers + 1)]
        self.control, self.workers = pages[0], tuple(pages[1:])

    def ready(self) -> list[Page]:
        """The pages of the workers that take requests."""
        return [page for page in self.workers if page.get("ready") and not page.get("draining")]
