"""Pages of a list: the token of the next page is where it begins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from everloop.kernel.errors import InvalidInput

T = TypeVar("T")


def start_of(token: str) -> int:
    """Where the page of a token begins.

    Raises:
        InvalidInput: no page had that token.
    """
    if not token:
        return 0
    if not (token.isascii() and token.isdecimal() and len(token) < 16):
        raise InvalidInput(f"{token[:40]!r} is no page token.", hint="Send the next_page_token of the page before.")
    return int(token)


def check_size(size: int, most: int) -> int:
    """How many a page may hold.

    Raises:
        InvalidInput: it is less than one or more than `most`.
    """
    if not 1 <= size <= most:
        raise InvalidInput(f"Invalid value {size} for parameter 'max_results': it must be from 1 to {most}.")
    return size


def page(items: Sequence[T], token: str, size: int) -> tuple[Sequence[T], str]:
    """A page of a list, and the token of the next one, empty after the last."""
    start = start_of(token)
    return items[start : start + size], next_token(start, size, len(items) > start + size)


def next_token(start: int, size: int, more: bool) -> str:
    """The token of the page after one, empty when there are no more."""
    return str(start + size) if more else ""
