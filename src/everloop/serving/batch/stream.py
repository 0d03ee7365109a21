"""The ports to streams: records that keep coming, and the results that are written of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class Record(NamedTuple):
    """Something to predict, as JSON, and the position in the stream that it ends at."""

    position: str
    value: bytes


class Refusal(NamedTuple):
    """A record that could not be predicted, and why."""

    record: Record
    reason: str


class Stream(Protocol):
    """Records in an order that stays.

    Contract (`tests/contracts/test_streams.py`): from one position on, the same records come, each once; a record that
    is only half there does not come yet.
    """

    def read(self, after: str, most: int, seconds: float) -> list[Record]:
        """The next records after a position ("" for the beginning), waiting so long for the first one.

        Raises:
            Conflict: the stream is not the one any more that the position was in.
            Unavailable: it does not answer.
        """
        ...

    def done(self, position: str) -> None:
        """Nobody asks for anything up to here any more."""
        ...

    def lag(self, after: str) -> int:
        """How much waits after a position: bytes of files, records of others."""
        ...

    def close(self) -> None:
        """Give back what is open."""
        ...


class Results(Protocol):
    """Where results go. What was written and how far that reached are one thing: neither is there without the other."""

    def position(self) -> str:
        """The position that results reach to; "" before the first."""
        ...

    def write(self, answers: Sequence[bytes], refused: Sequence[Refusal], position: str) -> None:
        """Keep answers (JSON) and refusals of the records up to a position, all of it or nothing, for good."""
        ...

    def close(self) -> None:
        """Give back what is open."""
        ...


class Streams(Protocol):
    """Opens streams and results by what they are called: a path, or a URL of a backend that is installed."""

    def stream(self, where: str) -> Stream:
        """The records at a path or URL."""
        ...

    def results(self, where: str) -> Results:
        """The results at a path or URL."""
        ...
