"""A check: a sentence that holds for a server, or raises."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import numpy as np


@dataclass(frozen=True)
class Target:
    """A server: its URL, and the address of its gRPC door."""

    url: str
    grpc: str

    @property
    def place(self) -> str:
        """Host and port, as tritonclient wants them."""
        return urlsplit(self.url).netloc


@dataclass(frozen=True)
class Check:
    """A sentence, and what raises where it is not so."""

    group: str
    sentence: str
    run: Callable[[Target], None]


def table(group: str, rows: Iterable[tuple[str, Callable[..., None]]], client: Callable[[Target], Any]) -> list[Check]:
    """Checks that are each given a fresh client of the server."""
    return [Check(group, sentence, partial(_with, client, run)) for sentence, run in rows]


def _with(client: Callable[[Target], Any], run: Callable[..., None], target: Target) -> None:
    made = client(target)
    try:
        run(made)
    finally:
        made.close()


def same(found: Any, expected: np.ndarray) -> None:
    """Raise unless an array is what is expected: values, shape and type."""
    assert found is not None, "the output is missing"
    assert found.shape == expected.shape, (found.shape, expected.shape)
    assert found.dtype == expected.dtype, (found.dtype, expected.dtype)
    equal = np.array_equal(found, expected, equal_nan=expected.dtype.kind == "f")
    assert equal, (found.tolist()[:5], expected.tolist()[:5])


def refused(call: Callable[[], object], error: type[Exception], *words: str) -> str:
    """What a refusal says; it must have the words in it."""
    try:
        call()
    except error as refusal:
        text = str(refusal)
        missing = [word for word in words if word not in text]
        assert not missing, f"{missing} not in {text!r}"
        return text
    raise AssertionError("it was not refused")
