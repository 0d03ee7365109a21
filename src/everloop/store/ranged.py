"""Large objects as files that are read where it is needed: each chunk is fetched and verified when its bytes are."""

from __future__ import annotations

import io
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

from everloop.kernel.errors import Corrupted
from everloop.store.objects import RESTORE

if TYPE_CHECKING:
    from everloop.store.chunks import Recipe
    from everloop.store.entities import Digest
    from everloop.store.objects import Objects
    from everloop.store.service import Store

_HELD = 4 << 20
_BATCH = 128
_PIECE = 1 << 20


def opened(store: Store, digest: Digest) -> ObjectFile | bytes:
    """An object as a file, or as its bytes where it is kept in one piece.

    That the chunks are those of the object and not of another is for whoever brings a recipe into the store to know
    (`Store.verify` looks); that each is what the recipe says is verified here.

    Raises:
        NotFound: the store has nothing there.
        Corrupted: it is damaged.
    """
    recipe = store.recipe(digest)
    return store.get(digest) if recipe is None else ObjectFile(store.objects, recipe)


def stream(store: Store, digest: Digest, start: int = 0, end: int | None = None) -> Iterator[bytes]:
    """An object's bytes from one place to another, in pieces of some megabytes.

    Raises:
        NotFound: the store has nothing there.
        Corrupted: it is damaged.
    """
    found = opened(store, digest)
    if isinstance(found, bytes):
        yield found[start:end]
        return
    found.seek(start)
    left = (found.size if end is None else min(end, found.size)) - start
    while left > 0:
        piece = found.read(min(left, _PIECE))
        left -= len(piece)
        yield piece


class ObjectFile(io.RawIOBase):
    """A large object. Of its chunks some megabytes are held, those that were used last. Not for many threads."""

    def __init__(self, objects: Objects, recipe: Recipe) -> None:
        super().__init__()
        self._objects = objects
        self._chunks = recipe.chunks
        self._ends = list(accumulate(recipe.lengths, initial=0))
        self._held: OrderedDict[int, bytes] = OrderedDict()
        self._most = _HELD
        self._at = 0

    @property
    def size(self) -> int:
        """How many bytes it has."""
        return self._ends[-1]

    def prefetch(self, ranges: Iterable[tuple[int, int]]) -> None:
        """Get all that lies between starts and ends at once, which is cheapest, and hold it until the next prefetch.

        Raises:
            Corrupted: a chunk is damaged; says which.
        """
        wanted = sorted({place for start, end in ranges for place in self._places(start, end)})
        self._most = max(_HELD, sum(map(self._length, wanted)))
        self._fetched(wanted)

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """Where the next byte is read."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place; where that is."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._ends[-1]}[whence]
        self._at = max(0, start + offset)
        return self._at

    def read(self, size: int = -1) -> bytes:
        """The next bytes; fewer at the end.

        Raises:
            Corrupted: a chunk is damaged; says which.
        """
        end = self._ends[-1] if size is None or size < 0 else min(self._at + size, self._ends[-1])
        start, self._at = self._at, max(self._at, end)
        return b"".join(self._pieces(start, end)) if end > start else b""

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # It is given these.
        """Fill a buffer; how many bytes there were."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def _pieces(self, start: int, end: int) -> Iterator[bytes | memoryview]:
        places = self._places(start, end)
        for at in range(0, len(places), _BATCH):
            for place, data in self._fetched(places[at : at + _BATCH]):
                low, high = max(start - self._ends[place], 0), min(end - self._ends[place], len(data))
                yield data if high - low == len(data) else memoryview(data)[low:high]

    def _places(self, start: int, end: int) -> range:
        """The chunks that hold the bytes from a start to an end."""
        return range(bisect_right(self._ends, start) - 1, bisect_left(self._ends, end))

    def _length(self, place: int) -> int:
        return self._ends[place + 1] - self._ends[place]

    def _fetched(self, places: Sequence[int]) -> list[tuple[int, bytes]]:
        """Chunks by their place in the object; those that are not held come from the store, near ones together."""
        there = {self._chunks[place]: self._held[place] for place in places if place in self._held}
        missing = {self._chunks[place] for place in places} - there.keys()
        there |= {raw: data for raw, data, _ in self._objects.read_many(missing)} if missing else {}
        found = [(place, there[self._chunks[place]]) for place in places]
        for place, data in found:
            self._hold(place, data)
        held = sum(map(len, self._held.values())) if missing else 0
        while held > self._most and len(self._held) > 1:
            held -= len(self._held.popitem(last=False)[1])
        return found

    def _hold(self, place: int, data: bytes) -> None:
        if len(data) != self._length(place):
            raise Corrupted(f"Chunk {self._chunks[place].hex()} has another size than its recipe says.", hint=RESTORE)
        self._held[place] = data
        self._held.move_to_end(place)
