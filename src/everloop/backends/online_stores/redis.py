"""Online features in Redis: a hash for each table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import cast

import redis

from everloop.kernel.errors import InvalidInput, Misconfigured, Unavailable

_BATCH = 10_000
"""Items in one command: Redis refuses commands of more than a million parts."""


class RedisOnlineStore:
    """Features in Redis, a hash `everloop:online:<table>` each, written in a transaction (MULTI) and read by HMGET."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._client = redis.Redis.from_url(url)

    def write(self, table: str, items: Sequence[tuple[bytes, bytes]]) -> None:
        """Set the values of some keys, in one transaction."""
        if not all(key for key, _ in items):
            raise InvalidInput("A key of the online store is empty.")
        with self._answering(), self._client.pipeline(transaction=True) as batch:
            for start in range(0, len(items), _BATCH):
                batch.hset(_name(table), mapping=dict(items[start : start + _BATCH]))
            batch.execute()

    def read(self, table: str, keys: Sequence[bytes]) -> list[bytes | None]:
        """The values of some keys, in one command."""
        if not keys:
            return []
        with self._answering():
            return cast("list[bytes | None]", self._client.hmget(_name(table), list(keys)))

    def clear(self, table: str) -> None:
        """Remove every key of a table."""
        with self._answering():
            self._client.delete(_name(table))

    def close(self) -> None:
        """Close the connections; the next use makes new ones."""
        self._client.close()

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except redis.RedisError as error:
            raise Unavailable(
                f"The online store did not answer ({error}).",
                hint="Check EVERLOOP_ONLINE_STORE_URL and that Redis is running, with everloop doctor.",
            ) from error


def open_online_store(url: str) -> RedisOnlineStore:
    """The store in the Redis that a URL such as `redis://host:6379/0` names; nothing is sent before it is used.

    Raises:
        Misconfigured: it is no such URL.
    """
    try:
        return RedisOnlineStore(url)
    except ValueError:
        raise Misconfigured(
            "EVERLOOP_ONLINE_STORE_URL is no URL of a Redis.", hint="Write redis://user:password@host:6379/0."
        ) from None


def _name(table: str) -> str:
    return f"everloop:online:{table}"
