"""What a process prints while a run goes on, line by line; a progress bar leaves the line that it ended with."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from typing import Literal, TextIO

Mode = Literal["python", "all", "off"]
LONGEST = 10 << 20
"""So many characters of a run's console are kept."""
_LONGEST_LINE = 1 << 16


class Lines:
    """Puts lines together out of what is written; a carriage return starts the line anew."""

    def __init__(self, take: Callable[[str], None], wanted: Callable[[], bool] = lambda: True) -> None:
        self.wanted = wanted
        self._take = take
        self._line = ""
        self._room = LONGEST
        self._lock = threading.Lock()

    def write(self, text: str) -> None:
        """Take what was written."""
        with self._lock:
            *whole, rest = (self._line + text).split("\n")
            for line in whole:
                self._keep(line)
            self._line = _seen(rest) + rest[len(rest.rstrip("\r")) :]
            if len(self._line) > _LONGEST_LINE:
                self._keep(self._line)
                self._line = ""

    def end(self) -> None:
        """Take the line that nobody ended."""
        with self._lock:
            if self._line:
                self._keep(self._line)
            self._line = ""

    def _keep(self, line: str) -> None:
        if self._room <= 0:
            return
        seen = _seen(line)
        self._take(f"{seen}\n")
        self._room -= len(seen) + 1
        if self._room <= 0:
            self._take(f"… (only the first {LONGEST:,} characters are kept)\n")


def _seen(line: str) -> str:
    """What of a line is still seen after its carriage returns; those at its end may belong to a line break."""
    return line.rstrip("\r").rpartition("\r")[2]


class Tee:
    """A text stream that also tells others what is written to it; everything else is the stream's."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.listeners: list[Lines] = []

    def write(self, text: str) -> int:
        """Write, and tell."""
        written = self._stream.write(text)
        for lines in tuple(self.listeners):
            if lines.wanted():
                lines.write(text)
        return written

    def writelines(self, lines: list[str]) -> None:
        """Write several."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


class Console:
    """Listens to standard output and error of this process, as long as a run is open."""

    def __init__(self, take: Callable[[str], None], mode: Mode, wanted: Callable[[], bool] = lambda: True) -> None:
        self._mode = mode
        self._lines = {name: Lines(take, wanted) for name in ("stdout", "stderr")}
        self._pipes: list[Pipe] = []

    def start(self) -> None:
        """Start to listen."""
        if self._mode == "python":
            for name, lines in self._lines.items():
                _tee(name).listeners.append(lines)
        if self._mode == "all":
            self._pipes = [Pipe(number, lines) for number, lines in zip((1, 2), self._lines.values(), strict=True)]

    def stop(self) -> None:
        """Listen no more; a stream that somebody else has wrapped meanwhile is left as it is."""
        for name, lines in self._lines.items():
            found = getattr(sys, name)
            if isinstance(found, Tee) and lines in found.listeners:
                found.listeners.remove(lines)
                if not found.listeners:
                    setattr(sys, name, found._stream)
        for pipe in self._pipes:
            pipe.close()
        for lines in self._lines.values():
            lines.end()


def _tee(name: str) -> Tee:
    found = getattr(sys, name)
    if not isinstance(found, Tee):
        found = Tee(found)
        setattr(sys, name, found)
    return found


class Pipe:
    """Stands in front of a file descriptor: what anybody in this process or its children writes to it passes here."""

    def __init__(self, number: int, lines: Lines) -> None:
        self._number = number
        self._lines = lines
        self._original = os.dup(number)
        reading, writing = os.pipe()
        os.dup2(writing, number)
        os.close(writing)
        self._reading = reading
        self._thread = threading.Thread(target=self._work, name="everloop-console", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Put the descriptor back, and pass on what is left."""
        stream = sys.stdout if self._number == 1 else sys.stderr
        if stream is not None:
            stream.flush()
        os.dup2(self._original, self._number)
        self._thread.join(2.0)  # A child that still holds the pipe keeps it from ending.

    def _work(self) -> None:
        while data := os.read(self._reading, 1 << 16):
            os.write(self._original, data)
            self._lines.write(data.decode(errors="replace"))
        os.close(self._reading)
