"""Pages of a list: the token of the next page is where it begins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from everloop.kernel.errors import InvalidInput

T = TypeVar("T")


def page(items: Sequence[T], token: str, size: int) -> tuple[Sequence[T], str]:
    """A page of a list, and the token of the next one, empty after the last."""
    start = _start_of(token)
    return items[start : start + size], str(start + size) if len(items) > start + size else ""


def _start_of(token: str) -> int:
    """Where the page of a token begins.

    Raises:
        InvalidInput: no page had that token.
    """
    if not token:
        return 0
    if not (token.isascii() and token.isdecimal() and len(token) < 16):
        raise InvalidInput(f"Invalid page token {token[:40]!r}.", hint="Send the next_page_token of the page before.")
    return int(token)
