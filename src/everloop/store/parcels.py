"""Packs that travel between a store and somebody who need not be trusted: what comes in is verified, entry by entry."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec
from blake3 import blake3

from everloop.kernel.errors import Corrupted, InvalidInput, TooLarge
from everloop.store import chunks, packs, trees
from everloop.store.entities import Digest
from everloop.store.frames import Frame, FrameWriter, PackDraft, frames_of, opened
from everloop.store.leases import lease
from everloop.store.objects import Objects, raw_of
from everloop.store.packs import MAGIC, RAW, RECIPE, TREE, WHOLE, ZSTD, Row

MOST_BYTES = 48 << 20
"""A pack that travels has at most so many bytes."""
MOST_NAMED = 100_000
"""So many objects may be asked for at once."""
_MOST_RECIPE = 32 << 20
_TAIL = 42


class Received(msgspec.Struct, frozen=True):
    """What a pack brought: objects that are kept now, and those that were there already."""

    objects: int
    there: int


def frames_in(pack: bytes) -> list[Frame]:
    """The objects in a pack that somebody sent, each checked to be what its address says (recipes by form only).

    Raises:
        TooLarge: it has more than `MOST_BYTES`, or an object that claims to be larger than objects are.
        InvalidInput: it is no pack; its entries overlap, lie outside of it, or are not what they claim to be.
    """
    if len(pack) > MOST_BYTES:
        raise TooLarge(f"The pack has more than {MOST_BYTES >> 20} MB.", hint="Send it in several.")
    rows = _rows(pack)
    end = len(MAGIC)
    for row in sorted(rows, key=lambda row: (row.offset, row.stored)):
        if row.offset < end:
            raise _wrong("its entries overlap, or begin before its first byte")
        end = row.offset + row.stored
        _require_sane(row)
    if end > len(pack) - _TAIL - _table_size(rows):
        raise _wrong("its entries reach into its footer")
    return list(_checked(rows, memoryview(pack)))


def receive(objects: Objects, pack: bytes) -> Received:
    """Keep what is in a pack that somebody sent; all is durable when it returns.

    A folder is taken when all that it names is here or comes with it, a recipe when its chunks add up to its address.

    Raises:
        InvalidInput: the pack is not what packs are, or an entry is not what it claims to be; nothing of it is named
            by a folder or recipe that was taken.
    """
    frames = frames_in(pack)
    missing = objects.missing({frame.digest for frame in frames})
    writer = FrameWriter(objects)
    try:
        for kind in (WHOLE, RECIPE, TREE):
            for frame in frames:
                if frame.kind == kind and frame.digest in missing:
                    _require_whole(objects, frame, {each.digest for each in frames if each.kind == TREE})
                    writer.add(frame)
            writer.flush()
    finally:
        writer.close()
    lease(objects, {frame.digest for frame in frames} - missing, writer.names)
    return Received(len(missing), len(frames) - len(missing))


def parcel(objects: Objects, raws: Iterable[bytes]) -> bytes:
    """A pack with some objects, as many as fit into one; ask again for the others.

    Raises:
        NotFound: one is not there.
    """
    draft = PackDraft()
    for frame in frames_of(objects, raws):
        draft.add(frame)
        if draft.full:
            break
    return bytes(draft.finished()[1])


def raws_in(body: bytes) -> list[bytes]:
    """The addresses that a request lists: 32 bytes each, back to back.

    Raises:
        InvalidInput: it does not, or they are more than `MOST_NAMED`.
    """
    if len(body) % 32 or len(body) > 32 * MOST_NAMED:
        raise InvalidInput(
            f"{len(body)} bytes are no list of addresses.", hint=f"Send 32 bytes for each, up to {MOST_NAMED}."
        )
    return [body[at : at + 32] for at in range(0, len(body), 32)]


def _rows(pack: bytes) -> list[Row]:
    if not pack.startswith(MAGIC):
        raise _wrong("it does not begin as one")
    try:
        return packs.read_footer(lambda start, length: pack[start : start + length], len(pack), pack[-_TAIL:][:32])
    except Corrupted:
        raise _wrong("its footer is cut off or damaged, or names an object twice") from None


def _table_size(rows: list[Row]) -> int:
    return 50 * len(rows)


def _require_sane(row: Row) -> None:
    if row.codec not in (RAW, ZSTD) or row.kind not in (WHOLE, RECIPE, TREE):
        raise _wrong(f"codec {row.codec} or kind {row.kind} is not known")
    if row.size > (_MOST_RECIPE if row.kind == RECIPE else chunks.WHOLE):
        raise TooLarge(f"Object {row.digest.hex()} claims to have {row.size} bytes.", hint="Send large ones in chunks.")


def _checked(rows: list[Row], view: memoryview) -> Iterator[Frame]:
    for row in rows:
        frame = Frame(row.digest, row.size, row.codec, row.kind, bytes(view[row.offset : row.offset + row.stored]))
        try:
            data = opened(frame)
        except Corrupted as error:
            raise InvalidInput(f"The pack is refused. {error.message}", hint="Pack it again.") from None
        if (frame.kind == TREE) != trees.is_tree(data) and frame.kind != RECIPE:
            raise _wrong(f"{row.digest.hex()} is of another kind than it claims")
        yield frame


def _require_whole(objects: Objects, frame: Frame, coming: set[bytes]) -> None:
    """Refuse what names objects that are not here, and recipes of something else."""
    if frame.kind == WHOLE:
        return
    data = opened(frame)
    if frame.kind == RECIPE:
        recipe = chunks.decode(data)
        _require_here(objects, frame, set(recipe.chunks))
        whole = blake3()
        for part in objects.parts(recipe):
            whole.update(part)
        if whole.digest() != frame.digest:
            raise _wrong(f"the chunks of {frame.digest.hex()} do not add up to it")
        return
    digest = Digest(frame.digest.hex())
    try:
        entries = trees.decode_flat(data, digest) if trees.is_flat(data) else trees.decode(data, digest)
    except Corrupted as error:
        raise InvalidInput(f"The pack is refused. {error.message}") from None
    _require_here(objects, frame, {raw_of(entry.digest) for entry in entries} - coming)


def _require_here(objects: Objects, frame: Frame, named: set[bytes]) -> None:
    absent = objects.missing(named)
    if absent:
        raise InvalidInput(
            f"{frame.digest.hex()} names {len(absent)} objects that are not here, {min(absent).hex()} for one.",
            hint="Send what is named first, or in the same pack.",
        )


def _wrong(reason: str) -> InvalidInput:
    return InvalidInput(f"The pack is refused: {reason}.", hint="docs/decisions/0033-pack-format.md describes packs.")
