"""Blobs in a bucket of any cloud, by way of obstore: one code for S3, Google Cloud Storage and Azure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar, cast
from urllib.parse import parse_qs, urlsplit

import msgspec
import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    NotFoundError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)

from everloop.kernel.clock import SystemClock
from everloop.kernel.errors import Conflict, Misconfigured, NotFound, PermissionDenied, Unavailable
from everloop.store.blobs import GRACE, Blob, Range, checked_key

if TYPE_CHECKING:
    from obstore import ObjectMeta, PutMode
    from obstore.store import ClientConfig, ObjectStore, RetryConfig

T = TypeVar("T")
Tag = Literal["e_tag", "version"]
"""What tells a key's bytes from others: the ETag, or Google's generation."""
_AT_ONCE = 16
_MOST_AHEAD = 64 << 20
"""So many bytes of ranges are in memory before somebody takes them."""
_SECONDS, _RETRIES = 120, 4
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
"""A part of a host's name: regions and accounts become one, and must not name another host."""
OPTIONS = frozenset({"endpoint", "timeout", "retries", "anonymous"})
"""What may stand behind the `?` of every bucket's URL."""


class Bucket(msgspec.Struct, frozen=True):
    """What a bucket's URL says: `scheme://name/prefix?options`."""

    scheme: str
    name: str
    prefix: str
    options: dict[str, str]

    @property
    def place(self) -> str:
        """The URL without its options, for messages."""
        return f"{self.scheme}://{self.name}/{self.prefix}".rstrip("/")

    @property
    def client(self) -> ClientConfig:
        """How long is waited for an answer (`timeout=` seconds); http:// is for servers of one's own."""
        seconds = self._number("timeout", _SECONDS)
        return {
            "allow_http": True,
            "connect_timeout": timedelta(seconds=min(seconds, 10)),
            "read_timeout": timedelta(seconds=seconds),
            "timeout": timedelta(seconds=5 * seconds),
        }

    @property
    def retry(self) -> RetryConfig:
        """How often a request is repeated (`retries=`) after a 5xx, a broken line or a time-out, ever later."""
        return {
            "max_retries": int(self._number("retries", _RETRIES)),
            "retry_timeout": timedelta(seconds=2 * self._number("timeout", _SECONDS)),
        }

    def _number(self, option: str, default: float) -> float:
        text = self.options.get(option, "")
        try:
            found = float(text or default)
        except ValueError:
            found = -1.0
        if not 0 <= found <= 3600:
            raise Misconfigured(f"{option}={text} in the URL of {self.place} is no number from 0 to 3600.")
        return found


def bucket_of(url: str, options: Iterable[str] = ()) -> Bucket:
    """The bucket that a URL names.

    Raises:
        Misconfigured: it names none, or has a key or an unknown option in it.
    """
    parts = urlsplit(url)
    given = {key: values[-1] for key, values in parse_qs(parts.query).items()}
    known = OPTIONS.union(options)
    if not parts.hostname or "@" in parts.netloc or given.keys() - known:
        raise Misconfigured(
            "The store's URL names no bucket, or has a key or an option in it that does not belong there.",
            hint=f"Write {parts.scheme}://bucket/prefix; after a ? it takes {', '.join(sorted(known))}.",
        )
    for option in ("region", "account"):
        if option in given and not _LABEL.fullmatch(given[option]):
            raise Misconfigured(f"{given[option]!r} is no {option}.", hint="Letters, digits and dashes make one.")
    return Bucket(parts.scheme, parts.netloc, parts.path.strip("/"), given)


class BucketBlobs:
    """An object for each key. A PUT is atomic and durable when the cloud answers it."""

    def __init__(self, store: ObjectStore, bucket: Bucket, tag: Tag = "e_tag") -> None:
        self.store = store
        self._place = bucket.place
        self._tag = tag

    @property
    def local(self) -> Path | None:
        """No folder of this machine."""
        return None

    def put(self, key: str, data: bytes | bytearray | memoryview) -> None:
        """Keep the bytes under the key."""
        checked_key(key)
        self.asked(lambda: obstore.put(self.store, key, data, use_multipart=False))

    def put_all(self, items: Iterable[tuple[str, bytes]]) -> None:
        """Keep many, several at a time."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for batch in _batches(items):
                list(pool.map(lambda item: self.put(*item), batch))

    def get(self, key: str) -> bytes:
        """The bytes under the key."""
        checked_key(key)
        return self.asked(lambda: bytes(obstore.get(self.store, key).bytes()), key)

    def get_all(self, keys: Iterable[str]) -> Iterator[bytes]:
        """The bytes under many keys, in their order, some of them fetched ahead."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for batch in _batches(keys):
                yield from pool.map(self.get, batch)

    def get_range(self, key: str, start: int, length: int) -> bytes:
        """Some of the bytes under the key; a server that takes a whole for no part gives all of it."""
        checked_key(key)

        def ask() -> bytes:
            try:
                return bytes(obstore.get_range(self.store, key, start=start, length=length))
            except BaseError as error:
                if "NotPartial" not in str(error):
                    raise
                return bytes(obstore.get(self.store, key).bytes())[start : start + length]

        return self.asked(ask, key)

    def get_ranges(self, ranges: Iterable[Range]) -> Iterator[bytes]:
        """Many stretches, in their order, some of them fetched ahead."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for batch in _loads(ranges):
                yield from pool.map(lambda stretch: self.get_range(*stretch), batch)

    def read_tagged(self, key: str) -> tuple[bytes, str]:
        """The bytes under a key that changes, with their tag."""
        checked_key(key)
        found = self.asked(lambda: obstore.get(self.store, key), key)
        return self.asked(lambda: bytes(found.bytes()), key), self._tag_of(found.meta)

    def swap(self, key: str, data: bytes, expected: str | None) -> str:
        """Write a key that changes, by a conditional PUT (If-Match, If-None-Match)."""
        checked_key(key)
        mode = cast("PutMode", "create" if expected is None else {self._tag: expected})
        try:
            written = self.asked(lambda: obstore.put(self.store, key, data, mode=mode, use_multipart=False), key)
        except NotFound:  # If-Match on what somebody deleted meanwhile.
            raise _changed(key) from None
        return written[self._tag] or ""

    def has(self, key: str) -> bool:
        """Whether there is something under the key."""
        checked_key(key)
        try:
            self.asked(lambda: obstore.head(self.store, key), key)
        except NotFound:
            return False
        return True

    def touch(self, key: str) -> bool:
        """Whether something young is under the key; no cloud can touch, so that what is old has to be written again."""
        checked_key(key)
        try:
            found = self.asked(lambda: obstore.head(self.store, key), key)
        except NotFound:
            return False
        return SystemClock().now() - found["last_modified"] < GRACE / 2

    def delete(self, key: str) -> None:
        """Remove the key."""
        checked_key(key)
        try:
            self.asked(lambda: obstore.delete(self.store, key), key)
        except NotFound:
            return

    def keys(self, prefix: str) -> Iterator[Blob]:
        """Every key that starts with the prefix."""
        for found in self.listed(prefix):
            yield Blob(found["path"], found["size"], found["last_modified"])

    def listed(self, prefix: str) -> Iterator[ObjectMeta]:
        """What the cloud says of every key that starts with the prefix, a thousand at a request."""
        folder = prefix.rpartition("/")[0]  # Its own listing here goes by whole names between slashes.
        pages = obstore.list(self.store, folder or None, chunk_size=1000)
        while (page := self.asked(lambda: next(pages, None))) is not None:
            yield from (found for found in page if found["path"].startswith(prefix))

    def _tag_of(self, meta: ObjectMeta | Mapping[str, str | None]) -> str:
        return str(meta[self._tag] or "")

    def asked(self, request: Callable[[], T], key: str = "") -> T:
        """The answer to a request, with the cloud's errors as ours."""
        try:
            return request()
        except (NotFoundError, FileNotFoundError) as error:
            if not key or "NoSuchBucket" in str(error) or "ContainerNotFound" in str(error):
                raise Misconfigured(f"There is no bucket at {self._place}.", hint="Make it first.") from None
            raise NotFound(f"The store has nothing under {key}.") from None
        except (AlreadyExistsError, PreconditionError):
            raise _changed(key) from None
        except (PermissionDeniedError, UnauthenticatedError) as error:
            raise PermissionDenied(
                f"The store at {self._place} refused us: {_first_line(error)}.",
                hint="Check the keys in the cloud's usual variables, and what they may do there.",
            ) from None
        except (BaseError, OSError) as error:
            if _KEYS_OF_MACHINES in str(error):
                raise Misconfigured(
                    f"There are no keys for {self._place}: none are set, and this machine has none of its own.",
                    hint="Set the cloud's usual variables, as AWS_ACCESS_KEY_ID; anonymous=true for what all may read.",
                ) from None
            raise Unavailable(
                f"The store at {self._place} did not answer: {_first_line(error)}.",
                hint="Check its URL and the variables with its keys with everloop doctor, and try again.",
            ) from None


_KEYS_OF_MACHINES = "169.254.169.254"
"""Where virtual machines ask their cloud for keys; a client without keys does."""


def _changed(key: str) -> Conflict:
    return Conflict(f"{key} was changed by somebody else meanwhile.", hint="Read it again, and try again.")


def _batches(items: Iterable[T]) -> Iterator[list[T]]:
    left = iter(items)
    while batch := list(islice(left, 4 * _AT_ONCE)):
        yield batch


def _loads(ranges: Iterable[Range]) -> Iterator[list[Range]]:
    """Ranges in batches that fit into memory."""
    batch: list[Range] = []
    for stretch in ranges:
        if batch and (len(batch) == 4 * _AT_ONCE or sum(each.length for each in batch) + stretch.length > _MOST_AHEAD):
            yield batch
            batch = []
        batch.append(stretch)
    if batch:
        yield batch


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:300]
