"""Pages of a list: the token of the next page is where it begins, or what the page before ended with."""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from typing import TypeVar

import msgspec

from everloop.kernel.errors import InvalidInput

T = TypeVar("T")


def page(items: Sequence[T], token: str, size: int) -> tuple[Sequence[T], str]:
    """A page of a list, and the token of the next one, empty after the last."""
    start = _start_of(token)
    return items[start : start + size], str(start + size) if len(items) > start + size else ""


class Position(msgspec.Struct, frozen=True, array_like=True):
    """Where a page of a search ended: the id of its last item, how many came up to it, and what was searched for."""

    last: str
    count: int
    asked: tuple[bytes, ...]


def page_after(ids: Sequence[str], token: str, size: int, asked: Mapping[str, object]) -> tuple[Sequence[str], str]:
    """A page of the ids that a search found, in its order, and the token of the next one, empty after the last.

    It goes on after the last one shown, whatever was added before it. `asked` holds what was searched for, by the
    words in which another thing is refused.

    Raises:
        InvalidInput: no page had that token, or that of another search.
    """
    digests = tuple(hashlib.blake2b(msgspec.json.encode(part), digest_size=8).digest() for part in asked.values())
    start = 0
    if token:
        before = _position_in(token)
        for words, told, wanted in zip(asked, before.asked, digests, strict=False):
            if told != wanted:
                raise InvalidInput(f"{words}.", hint="A page token belongs to the search that gave it.")
        start = ids.index(before.last) + 1 if before.last in ids else before.count
    shown = ids[start : start + size]
    if len(ids) <= start + size:
        return shown, ""
    ended = Position(shown[-1], start + size, digests)
    return shown, urlsafe_b64encode(msgspec.msgpack.encode(ended)).decode()


def _position_in(token: str) -> Position:
    try:
        return msgspec.msgpack.decode(urlsafe_b64decode(token.encode("ascii")), type=Position)
    except (ValueError, msgspec.DecodeError):
        raise _unknown(token) from None


def _start_of(token: str) -> int:
    """Where the page of a token begins.

    Raises:
        InvalidInput: no page had that token.
    """
    if not token:
        return 0
    if not (token.isascii() and token.isdecimal() and len(token) < 16):
        raise _unknown(token)
    return int(token)


def _unknown(token: str) -> InvalidInput:
    return InvalidInput(f"Invalid page token {token[:40]!r}.", hint="Send the next_page_token of the page before.")
