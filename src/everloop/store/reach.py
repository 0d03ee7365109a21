"""What some objects need: the files and folders of trees, the chunks of large objects."""

from __future__ import annotations

from collections.abc import Iterator

from everloop.kernel.errors import Corrupted, NotFound
from everloop.kernel.progress import SILENT, Progress
from everloop.store import chunks, trees
from everloop.store.digests import Digests
from everloop.store.inventory import Inventory
from everloop.store.objects import RESTORE, Objects, loose_key, verified
from everloop.store.packs import TREE

_AT_ONCE = 5_000
_HEAD = 16


class Parts:
    """What one object names: folders, and all else."""

    def __init__(self, folders: bytes = b"", rest: bytes = b"") -> None:
        self.folders = folders
        self.rest = rest


def reach(
    objects: Objects,
    found: Inventory,
    starts: Digests,
    known: Digests | None = None,
    *,
    strict: bool = False,
    progress: Progress = SILENT,
) -> Digests:
    """Some objects, all that they need, and what was known before; folder by folder, each read once.

    `strict` is for those whose parts must all be there: what only a damaged or missing folder leads to would be lost.

    Raises:
        Corrupted: strictly, when a folder or recipe on the way is damaged, or a folder is missing.
    """
    live = known or Digests()
    fresh = starts - live
    while fresh:
        live |= fresh
        folders, rest = bytearray(), bytearray()
        for _, parts in parts_of(objects, found, fresh, strict=strict):
            folders += parts.folders
            rest += parts.rest
        below = Digests.packed(folders)
        if strict:
            _require_there(objects, below - found.digests)
        fresh = (below | Digests.packed(rest)) - live
        progress.advance(len(live), None, "reached", "files")
    return live


def parts_of(objects: Objects, found: Inventory, some: Digests, *, strict: bool) -> Iterator[tuple[bytes, Parts]]:
    """What those of some objects name that name others."""
    inner = list(some & found.inner)
    for at in range(0, len(inner), _AT_ONCE):
        yield from _packed(objects, inner[at : at + _AT_ONCE], strict)
    for raw in some & found.loose.digests:
        try:
            parts = _named(_loose_folder(objects, raw))
        except Corrupted as error:
            if strict:
                raise _lost(error.message) from None
            continue
        if parts is not None:
            yield raw, parts


def _packed(objects: Objects, raws: list[bytes], strict: bool) -> Iterator[tuple[bytes, Parts]]:
    """Of recipes and folders in packs: all in one read; one by one when that fails."""
    left = dict.fromkeys(raws)
    try:
        for raw, data, is_recipe in objects.read_many(raws):
            if (parts := _parts(objects, data, is_recipe, strict)) is not None:
                yield raw, parts
            left.pop(raw, None)
        return
    except (Corrupted, NotFound):
        pass
    for raw in left:
        try:
            data, is_recipe = objects.read(raw)
            if (parts := _parts(objects, data, is_recipe, strict)) is not None:
                yield raw, parts
        except NotFound:
            continue
        except Corrupted as error:
            if strict:
                raise _lost(error.message) from None


def _parts(objects: Objects, data: bytes, is_recipe: bool, strict: bool) -> Parts | None:
    if not is_recipe:
        return _named(data)
    wanted = chunks.decode(data).chunks
    first = objects.index.place(wanted[0]) if wanted else None
    if first is None or first.kind != TREE:
        return Parts(rest=b"".join(wanted))
    try:  # A folder with very many names.
        inner = _named(b"".join(objects.read(chunk)[0] for chunk in wanted)) or Parts()
    except (Corrupted, NotFound) as error:
        if strict:
            raise _lost(error.message) from None
        inner = Parts()
    return Parts(inner.folders, inner.rest + b"".join(wanted))


def _named(data: bytes) -> Parts | None:
    """The addresses in a folder; none in anything else, however much it looks like one."""
    if not trees.is_tree(data):
        return None
    try:
        return Parts(*trees.parts(data))
    except Corrupted:
        return None


def _loose_folder(objects: Objects, raw: bytes) -> bytes:
    """A loose object, verified, if it may be a folder."""
    try:
        head = objects.blobs.get_range(loose_key(raw), 0, _HEAD)
        return verified(objects.blobs.get(loose_key(raw)), raw) if trees.is_tree(head) else b""
    except NotFound:
        return objects.read(raw)[0] if objects.has(raw) else b""  # Another sweep has packed it.


def _require_there(objects: Objects, folders: Digests) -> None:
    for raw in folders:
        if not objects.has(raw):
            raise _lost(f"The folder {raw.hex()} is missing.")


def _lost(reason: str) -> Corrupted:
    return Corrupted(
        f"The store is damaged, so nothing was freed: {reason}",
        hint=f"What it leads to would be lost. everloop store fsck names all of it. {RESTORE}",
    )
