"""Pages of a list: the token of the next page is where it begins, or what the page before ended with."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from bisect import bisect_right
from collections.abc import Sequence
from typing import TypeVar

import msgspec

from everloop.kernel.errors import InvalidInput
from everloop.server.mlflow.limits import size_of_page as check_size

__all__ = ["after", "check_size", "next_token", "page", "start_of"]
T = TypeVar("T")
V = TypeVar("V", bound=tuple[float, ...])


def start_of(token: str) -> int:
    """Where the page of a token begins.

    Raises:
        InvalidInput: no page had that token.
    """
    if not token:
        return 0
    if not (token.isascii() and token.isdecimal() and len(token) < 16):
        raise _unknown(token)
    return int(token)


def page(items: Sequence[T], token: str, size: int) -> tuple[Sequence[T], str]:
    """A page of a list, and the token of the next one, empty after the last."""
    start = start_of(token)
    return items[start : start + size], next_token(start, size, len(items) > start + size)


def next_token(start: int, size: int, more: bool) -> str:
    """The token of the page after one, empty when there are no more."""
    return str(start + size) if more else ""


def after(items: Sequence[V], token: str, size: int, kind: type[V]) -> tuple[Sequence[V], str]:
    """A page of a sorted list of named tuples, and the token of the next one, empty after the last.

    The token holds the last item of its page: what is added before it moves nothing onto the next page twice.

    Raises:
        InvalidInput: no page had that token.
    """
    start = bisect_right(items, _read(token, kind)) if token else 0
    shown = items[start : start + size]
    more = len(items) > start + size
    return shown, urlsafe_b64encode(msgspec.msgpack.encode(shown[-1])).decode() if more else ""


def _read(token: str, kind: type[V]) -> V:
    try:
        return msgspec.msgpack.decode(urlsafe_b64decode(token.encode("ascii")), type=kind)
    except (ValueError, msgspec.DecodeError):
        raise _unknown(token) from None


def _unknown(token: str) -> InvalidInput:
    return InvalidInput(f"{token[:40]!r} is no page token.", hint="Send the next_page_token of the page before.")
