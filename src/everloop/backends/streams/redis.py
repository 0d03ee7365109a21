"""Streams in Redis: a consumer of a group reads, and results are written in one transaction with the position."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit, urlunsplit

import msgspec
import redis

from everloop.kernel.errors import InvalidInput, Unavailable
from everloop.serving.batch.stream import Record, Refusal


class RedisStream:
    """Entries of a stream, as one consumer of a group gets them. Its positions are the entries' ids.

    What was handed out and not acknowledged comes again after a restart. An entry is JSON in its field `value`; without
    one, its fields are the record.
    """

    def __init__(self, server: str, stream: str, group: str, consumer: str) -> None:
        self._client = redis.Redis.from_url(server)
        self._stream, self._group, self._consumer = stream, group, consumer
        self._recovered = False
        with _answering():
            try:
                self._client.xgroup_create(stream, group, id="0", mkstream=True)
            except redis.ResponseError as error:
                if "BUSYGROUP" not in str(error):
                    raise

    def read(self, after: str, most: int, seconds: float) -> list[Record]:
        """What was handed out before comes first, then what is new."""
        with _answering():
            if not self._recovered:
                pending = self._asked(after or "0", most)
                if pending:
                    return pending
                self._recovered = True
            return self._asked(">", most, max(1, int(seconds * 1000)) if seconds else None)

    def done(self, position: str) -> None:
        """Acknowledge all that was handed out up to a position."""
        with _answering():
            while True:
                waiting = self._client.xpending_range(
                    self._stream, self._group, "-", position, 1000, consumername=self._consumer
                )
                if not waiting:
                    return
                self._client.xack(self._stream, self._group, *(one["message_id"] for one in waiting))

    def lag(self, after: str) -> int:
        """Entries after a position."""
        with _answering():
            groups = self._client.xinfo_groups(self._stream)
        return next((int(one.get("lag") or 0) for one in groups if one["name"].decode() == self._group), 0)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _asked(self, which: str, most: int, wait: int | None = None) -> list[Record]:
        # `Any`: redis-py's types are those of all protocols and clients together.
        found: Any = self._client.xreadgroup(self._group, self._consumer, {self._stream: which}, most, wait)
        return [Record(id.decode(), _value(fields)) for _, entries in found or () for id, fields in entries]


class RedisResults:
    """Results as entries of a stream; what was refused goes to the stream `NAME:refused`."""

    def __init__(self, server: str, stream: str, group: str) -> None:
        self._client = redis.Redis.from_url(server)
        self._stream = stream
        self._key = f"{stream}:position:{group}"

    def position(self) -> str:
        """The position that was written with the last results."""
        with _answering():
            return str(cast("bytes", self._client.get(self._key) or b""), "utf-8")

    def write(self, answers: Sequence[bytes], refused: Sequence[Refusal], position: str) -> None:
        """Add entries and move the position, in one transaction."""
        with _answering(), self._client.pipeline(transaction=True) as batch:
            for answer in answers:
                batch.xadd(self._stream, {"value": answer})
            for one in refused:
                record = one.record
                told: dict[Any, Any] = {"value": record.value, "reason": one.reason, "position": record.position}
                batch.xadd(f"{self._stream}:refused", told)
            batch.set(self._key, position)
            batch.execute()

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


def _value(fields: dict[bytes, bytes] | None) -> bytes:
    if not fields:
        return b"null"  # It was trimmed before it could be read: nothing can be predicted of it.
    if b"value" in fields:
        return fields[b"value"]
    return msgspec.json.encode({name.decode("utf-8", "replace"): _plain(value) for name, value in fields.items()})


def _plain(value: bytes) -> object:
    """Numbers as numbers: fields of Redis are texts."""
    try:
        return float(value)
    except ValueError:
        return value.decode("utf-8", "replace")


@contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except redis.RedisError as error:
        raise Unavailable(f"Redis did not answer ({error}).", hint="Check the URL, and that it is running.") from error


def _parts(url: str) -> tuple[str, dict[str, str]]:
    parts = urlsplit(url)
    asked = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    if not asked.get("stream"):
        raise InvalidInput(f"{url} names no stream.", hint="Write redis://host:6379/0?stream=NAME&group=GROUP.")
    return urlunsplit(parts._replace(query="")), asked


def open_stream(url: str) -> RedisStream:
    """The stream of a URL `redis://host/0?stream=NAME&group=GROUP&consumer=NAME`."""
    server, asked = _parts(url)
    return RedisStream(server, asked["stream"], asked.get("group", "everloop"), asked.get("consumer", "everloop"))


def open_results(url: str) -> RedisResults:
    """The stream of a URL, for results."""
    server, asked = _parts(url)
    return RedisResults(server, asked["stream"], asked.get("group", "everloop"))
