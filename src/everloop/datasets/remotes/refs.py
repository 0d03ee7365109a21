"""Refs at a remote: named pointers to commits, which two writers can never move at the same time without one knowing.

Where the server honours conditional writes a ref is one key, `refs/project/dataset/branch`. Where it ignores them a
move is a numbered record that never changes, and who may write the next number is settled by claims; see
docs/decisions/0043-refs-and-conditional-writes.md for what that promises and what it cannot.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from random import Random
from typing import Protocol

import msgspec

from everloop.datasets.remotes.entities import Ref, RefScheme
from everloop.kernel.errors import Conflict, Corrupted, NotFound, Unavailable
from everloop.store.blobs import Blobs

REFS, RECORDS, CLAIMS = "refs/", "ref-records/", "ref-claims/"
STALE = timedelta(minutes=10)
"""A claim of this age belongs to a writer that died; a living one gives up after half of it."""
ATTEMPTS = 8
"""How often a writer that met another's claim tries again."""
KEPT = 100
"""So many of the newest records of a ref are kept: its history."""
_refs = msgspec.json.Decoder(Ref)


class Refs(Protocol):
    """The refs of a remote. Names are `project/dataset/branch`."""

    def read(self, name: str) -> Ref | None:
        """Where a ref points; None when there is no such ref."""
        ...

    def move(self, ref: Ref, expected: str) -> None:
        """Point a ref to a commit, if it still points to `expected` ("" when it must not be there yet).

        Raises:
            Conflict: it points elsewhere.
        """
        ...

    def below(self, prefix: str = "") -> list[Ref]:
        """The refs whose names start with the prefix, by name."""
        ...


def refs_of(blobs: Blobs, scheme: RefScheme, random: Random) -> Refs:
    """The refs of a remote, in the scheme that was settled when it was first used."""
    return ConditionalRefs(blobs) if scheme == "conditional" else ClaimedRefs(blobs, random)


class ConditionalRefs:
    """A key for each ref, moved by compare-and-set."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs

    def read(self, name: str) -> Ref | None:
        """Where a ref points."""
        return self._tagged(name)[0]

    def move(self, ref: Ref, expected: str) -> None:
        """Point a ref to a commit, if it still points to `expected`."""
        found, tag = self._tagged(ref.name)
        _require(found, expected, ref)
        try:
            self._blobs.swap(f"{REFS}{ref.name}", msgspec.json.encode(ref), tag)
        except Conflict:
            now = self.read(ref.name)
            if now != ref:  # Otherwise a write that was repeated after its answer got lost met itself.
                raise _moved(ref, now) from None

    def below(self, prefix: str = "") -> list[Ref]:
        """The refs whose names start with the prefix."""
        names = sorted(blob.key.removeprefix(REFS) for blob in self._blobs.keys(f"{REFS}{prefix}"))
        return [ref for name in names if (ref := self.read(name)) is not None]

    def _tagged(self, name: str) -> tuple[Ref | None, str | None]:
        try:
            data, tag = self._blobs.read_tagged(f"{REFS}{name}")
        except NotFound:
            return None, None
        return _decoded(data, name), tag


class ClaimedRefs:
    """A numbered record for each move of a ref, for servers on which every write overwrites.

    A writer claims the next number under a key of its own, and writes the record only when it then sees no other
    claim and no record. Of two writers at least one sees the other's claim, so never both write; when both see each
    other both withdraw, wait for a random time and try again.
    """

    def __init__(self, blobs: Blobs, random: Random, pause: Callable[[float], None] = time.sleep) -> None:
        self._blobs = blobs
        self._random = random
        self._pause = pause

    def read(self, name: str) -> Ref | None:
        """Where a ref points."""
        return self._newest(name)[1]

    def move(self, ref: Ref, expected: str) -> None:
        """Point a ref to a commit, if it still points to `expected`."""
        for attempt in range(ATTEMPTS):
            number, found = self._newest(ref.name)
            if found == ref:
                return
            _require(found, expected, ref)
            if self._write(ref, number + 1):
                self._forget(ref.name, number + 1 - KEPT)
                return
            self._pause(self._random.uniform(0.05, 0.2) * 2**attempt)
        raise Unavailable(
            f"Others are moving {ref.name} at the same time.",
            hint="Try again; what a dead writer claimed is free after 10 minutes.",
        )

    def below(self, prefix: str = "") -> list[Ref]:
        """The refs whose names start with the prefix."""
        names = {_owner(blob.key, RECORDS) for blob in self._blobs.keys(f"{RECORDS}{prefix}")}
        return [ref for name in sorted(names) if (ref := self.read(name)) is not None]

    def _newest(self, name: str) -> tuple[int, Ref | None]:
        numbers = self._numbers(name)
        if not numbers:
            return 0, None
        return numbers[-1], _decoded(self._blobs.get(_record(name, numbers[-1])), name)

    def _write(self, ref: Ref, number: int) -> bool:
        """Write a record if nobody else may; whether it was written."""
        claim = f"{CLAIMS}{ref.name}/{number:012}-{ref.id}"
        started = time.monotonic()
        self._blobs.put(claim, b"")
        # Claims first, records second: a winner writes its record before it takes its claim away.
        if self._contested(ref.name, number, claim) or number in self._numbers(ref.name):
            self._blobs.delete(claim)
            return False
        if time.monotonic() - started > STALE.total_seconds() / 2:
            self._blobs.delete(claim)
            return False
        self._blobs.put(_record(ref.name, number), msgspec.json.encode(ref))
        self._blobs.delete(claim)
        return True

    def _contested(self, name: str, number: int, mine: str) -> bool:
        claims = list(self._blobs.keys(f"{CLAIMS}{name}/{number:012}-"))
        now = next((claim.modified for claim in claims if claim.key == mine), None)
        if now is None:  # Somebody took it for a dead writer's.
            return True
        others = [claim for claim in claims if claim.key != mine]
        dead = [claim for claim in others if now - claim.modified > STALE]
        for claim in dead:
            self._blobs.delete(claim.key)
        return len(others) > len(dead)

    def _numbers(self, name: str) -> list[int]:
        return sorted(int(blob.key.rpartition("/")[2]) for blob in self._blobs.keys(f"{RECORDS}{name}/"))

    def _forget(self, name: str, up_to: int) -> None:
        for number in self._numbers(name):
            if number <= up_to:
                self._blobs.delete(_record(name, number))


def _record(name: str, number: int) -> str:
    return f"{RECORDS}{name}/{number:012}"


def _owner(key: str, prefix: str) -> str:
    return key.removeprefix(prefix).rpartition("/")[0]


def _decoded(data: bytes, name: str) -> Ref:
    try:
        return _refs.decode(data)
    except msgspec.DecodeError as error:
        raise Corrupted(
            f"The ref {name} at the remote cannot be read ({error}).", hint="Push it again from a platform that has it."
        ) from None


def _require(found: Ref | None, expected: str, ref: Ref) -> None:
    if (found.commit if found else "") != expected:
        raise _moved(ref, found)


def _moved(ref: Ref, found: Ref | None) -> Conflict:
    if found is None:
        return Conflict(f"{ref.name} is not at the remote any more.", hint="Push again.")
    return Conflict(
        f"{ref.name} was moved to {found.commit[:12]} by {found.by} ({found.at:%Y-%m-%d %H:%M} UTC) meanwhile.",
        hint="Pull, merge, and push again.",
    )


def refs_at(blobs: Blobs) -> Iterator[Ref]:
    """Every ref or record of a place, in either scheme: what they point to are roots of its garbage collection."""
    for prefix in (REFS, RECORDS):
        for blob in blobs.keys(prefix):
            try:
                yield _decoded(blobs.get(blob.key), blob.key)
            except NotFound:  # It was moved or forgotten meanwhile.
                continue
