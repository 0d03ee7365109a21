"""Blobs in a bucket of S3, or of anything that speaks its protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar, cast
from urllib.parse import parse_qs, urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, NotFoundError, PreconditionError
from obstore.store import S3Store

from everloop.kernel.clock import SystemClock
from everloop.kernel.errors import Conflict, Misconfigured, NotFound, Unavailable
from everloop.store.blobs import GRACE, Blob, Range, checked_key

if TYPE_CHECKING:
    from obstore.store import S3Config

T = TypeVar("T")
_AT_ONCE = 16
_TIMEOUT = timedelta(seconds=30)
_OPTIONS = {"endpoint", "region"}


class S3Blobs:
    """An object for each key. A PUT is atomic and durable when S3 answers it."""

    def __init__(self, store: S3Store, place: str) -> None:
        self._store = store
        self._place = place

    @property
    def local(self) -> Path | None:
        """No folder of this machine."""
        return None

    def put(self, key: str, data: bytes | bytearray | memoryview) -> None:
        """Keep the bytes under the key."""
        checked_key(key)
        self._asked(lambda: obstore.put(self._store, key, data, use_multipart=False))

    def put_all(self, items: Iterable[tuple[str, bytes]]) -> None:
        """Keep many, several at a time."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for batch in _batches(items):
                list(pool.map(lambda item: self.put(*item), batch))

    def get(self, key: str) -> bytes:
        """The bytes under the key."""
        checked_key(key)
        return self._asked(lambda: bytes(obstore.get(self._store, key).bytes()), key)

    def get_all(self, keys: Iterable[str]) -> Iterator[bytes]:
        """The bytes under many keys, in their order, some of them fetched ahead."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for batch in _batches(keys):
                yield from pool.map(self.get, batch)

    def get_range(self, key: str, start: int, length: int) -> bytes:
        """Some of the bytes under the key."""
        checked_key(key)
        return self._asked(lambda: bytes(obstore.get_range(self._store, key, start=start, length=length)), key)

    def get_ranges(self, ranges: Iterable[Range]) -> Iterator[bytes]:
        """Many stretches, in their order, some of them fetched ahead."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for batch in _batches(ranges):
                yield from pool.map(lambda stretch: self.get_range(*stretch), batch)

    def read_tagged(self, key: str) -> tuple[bytes, str]:
        """The bytes under a key that changes, with their ETag."""
        checked_key(key)
        found = self._asked(lambda: obstore.get(self._store, key), key)
        return bytes(found.bytes()), found.meta["e_tag"] or ""

    def swap(self, key: str, data: bytes, expected: str | None) -> str:
        """Write a key that changes, by a conditional PUT (If-Match, If-None-Match)."""
        checked_key(key)
        mode: Literal["create"] | dict[str, str] = "create" if expected is None else {"e_tag": expected}
        try:
            written = self._asked(lambda: obstore.put(self._store, key, data, mode=mode, use_multipart=False), key)
        except NotFound:  # If-Match on what somebody deleted meanwhile.
            written = None
        if written is None:
            raise Conflict(f"{key} was changed by somebody else meanwhile.", hint="Read it again, and try again.")
        return written["e_tag"] or ""

    def has(self, key: str) -> bool:
        """Whether there is something under the key."""
        checked_key(key)
        try:
            self._asked(lambda: obstore.head(self._store, key), key)
        except NotFound:
            return False
        return True

    def touch(self, key: str) -> bool:
        """Whether something young is under the key; S3 cannot touch, so that what is old has to be written again."""
        checked_key(key)
        try:
            found = self._asked(lambda: obstore.head(self._store, key), key)
        except NotFound:
            return False
        return SystemClock().now() - found["last_modified"] < GRACE / 2

    def delete(self, key: str) -> None:
        """Remove the key."""
        checked_key(key)
        try:
            self._asked(lambda: obstore.delete(self._store, key), key)
        except NotFound:
            return

    def keys(self, prefix: str) -> Iterator[Blob]:
        """Every key that starts with the prefix."""
        folder = prefix.rpartition("/")[0]  # S3's own listing here goes by whole names between slashes.
        pages = obstore.list(self._store, folder or None, chunk_size=1000)
        while (page := self._asked(lambda: next(pages, None))) is not None:
            for found in page:
                if found["path"].startswith(prefix):
                    yield Blob(found["path"], found["size"], found["last_modified"])

    def _asked(self, request: Callable[[], T], key: str = "") -> T:
        """The answer to a request, with S3's errors as ours."""
        try:
            return request()
        except (NotFoundError, FileNotFoundError) as error:
            if not key or "NoSuchBucket" in str(error):
                raise Misconfigured(f"There is no bucket at {self._place}.", hint="Make it first.") from None
            raise NotFound(f"The store has nothing under {key}.") from None
        except (AlreadyExistsError, PreconditionError):
            raise Conflict(f"{key} was changed by somebody else meanwhile.", hint="Read it again, try again.") from None
        except (BaseError, OSError) as error:
            raise Unavailable(
                f"The store at {self._place} did not answer: {_first_line(error)}.",
                hint="Check EVERLOOP_STORE_URL and the AWS_… variables with everloop doctor.",
            ) from None


def open_blobs(url: str) -> S3Blobs:
    """The blobs that `s3://bucket/prefix?endpoint=http://host:port&region=…` names.

    Keys and secrets come from AWS's usual variables (`AWS_ACCESS_KEY_ID`, …), never from the URL.

    Raises:
        Misconfigured: the URL is not of that form.
    """
    parts = urlsplit(url)
    options = {key: values[-1] for key, values in parse_qs(parts.query).items()}
    unknown = sorted(options.keys() - _OPTIONS)
    if not parts.hostname or parts.username or unknown:
        raise Misconfigured(
            "The store's URL names no bucket, or has a key or an option in it that does not belong there.",
            hint="Write s3://bucket/prefix?endpoint=http://host:port&region=name.",
        )
    place = f"s3://{parts.netloc}{parts.path}"
    store = S3Store(
        parts.netloc,
        prefix=parts.path.strip("/") or None,
        client_options={"allow_http": True, "timeout": _TIMEOUT},
        retry_config={"max_retries": 3, "retry_timeout": _TIMEOUT},
        config=cast("S3Config", options | {"virtual_hosted_style_request": False}),
    )
    return S3Blobs(store, place)


def _batches(items: Iterable[T]) -> Iterator[list[T]]:
    left = iter(items)
    while batch := list(islice(left, 4 * _AT_ONCE)):
        yield batch


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:300]
