"""The commits that led to a commit, and the content that each needs."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator

import msgspec

from everloop.datasets.history.commits import Commit, read_commit
from everloop.datasets.remotes.refs import refs_at
from everloop.store.entities import Digest
from everloop.store.service import Store

_ADDRESS = re.compile(rb'"([0-9a-f]{64})"')


def history(store: Store, newest: Digest, known: Collection[Digest] = ()) -> dict[Digest, Commit]:
    """A commit and those that led to it, by way of both sides of merges, each after those that it was made from.

    What is `known`, and what led to that, is left out.

    Raises:
        NotFound: the store lacks one.
        Corrupted: one is damaged, or no commit.
    """
    found: dict[Digest, Commit] = {}
    waiting = [newest]
    while waiting:
        address = waiting.pop()
        if address not in found and address not in known:
            found[address] = read_commit(store, address)
            waiting.extend(found[address].parents)
    return {address: found[address] for address in _ordered(found)}


def contents(store: Store, commits: Iterable[Commit]) -> set[Digest]:
    """The addresses of what commits hold, as far as the store has it: content may have been given up since.

    Whatever a commit spells as an address is content, but for its relatives: so no kind of content is forgotten.
    """
    spelled: set[Digest] = set()
    for commit in commits:
        alone = msgspec.structs.replace(commit, parents=(), sources=())
        spelled.update(Digest(found.decode()) for found in _ADDRESS.findall(msgspec.json.encode(alone)))
    return spelled - store.missing(spelled)


def roots_at(place: Store) -> set[Digest]:
    """All that the refs of a place lead to, of every project: what its garbage collection must keep."""
    found: dict[Digest, Commit] = {}
    for ref in refs_at(place.blobs):
        if ref.commit not in found:
            found |= history(place, ref.commit, found)
    return {*found, *contents(place, found.values())}


def _ordered(found: dict[Digest, Commit]) -> Iterator[Digest]:
    """Depth first, without recursion: histories are long."""
    done: set[Digest] = set()
    for start in found:
        stack = [start]
        while stack:
            address = stack[-1]
            ahead = [parent for parent in found[address].parents if parent in found and parent not in done]
            if ahead and address not in done:
                stack.extend(ahead)
                continue
            stack.pop()
            if address not in done:
                done.add(address)
                yield address
