"""A place in memory, as servers of several kinds behave: one that honours conditions, and one that ignores them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from blake3 import blake3

from everloop.kernel.errors import Conflict, NotFound, PermissionDenied
from everloop.store.blobs import Blob, Range, checked_key


class MemoryBlobs:
    """Keys and bytes; `turn` is called before every request, for tests that decide who goes next."""

    def __init__(self, *, conditional: bool = True, writable: bool = True) -> None:
        self.conditional = conditional
        self.writable = writable
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.kept: dict[str, tuple[bytes, datetime]] = {}
        self.requests: list[str] = []
        self.turn: Callable[[], None] = lambda: None

    def put(self, key: str, data: bytes | bytearray | memoryview) -> None:
        self._ask(f"put {key}")
        if not self.writable:
            raise PermissionDenied("This place can only be read.")
        self.kept[checked_key(key)] = (bytes(data), self.now)

    def put_all(self, items: Iterable[tuple[str, bytes]]) -> None:
        for key, data in items:
            self.put(key, data)

    def get(self, key: str) -> bytes:
        return self.read_tagged(key)[0]

    def get_all(self, keys: Iterable[str]) -> Iterator[bytes]:
        return map(self.get, keys)

    @property
    def local(self) -> Path | None:
        return None

    def get_ranges(self, ranges: Iterable[Range]) -> Iterator[bytes]:
        return (self.get_range(*stretch) for stretch in ranges)

    def get_range(self, key: str, start: int, length: int) -> bytes:
        return self.get(key)[start : start + length]

    def read_tagged(self, key: str) -> tuple[bytes, str]:
        self._ask(f"get {key}")
        if key not in self.kept:
            raise NotFound(f"The store has nothing under {key}.")
        return self.kept[key][0], self._tag(key) or ""

    def swap(self, key: str, data: bytes, expected: str | None) -> str:
        self._ask(f"swap {key}")
        if self.conditional and self._tag(key) != expected:
            raise Conflict(f"{key} was changed meanwhile.")
        self.kept[key] = (data, self.now)
        return self._tag(key) or ""

    def has(self, key: str) -> bool:
        self._ask(f"has {key}")
        return key in self.kept

    def touch(self, key: str) -> bool:
        return self.has(key)

    def delete(self, key: str) -> None:
        self._ask(f"delete {key}")
        self.kept.pop(key, None)

    def keys(self, prefix: str) -> Iterator[Blob]:
        self._ask(f"list {prefix}")
        found = [Blob(key, len(data), at) for key, (data, at) in sorted(self.kept.items()) if key.startswith(prefix)]
        return iter(found)

    def let_pass(self, span: timedelta) -> None:
        """Let time pass at the server."""
        self.now += span

    def _tag(self, key: str) -> str | None:
        return blake3(self.kept[key][0]).hexdigest() if key in self.kept else None

    def _ask(self, request: str) -> None:
        self.turn()
        self.requests.append(request)
