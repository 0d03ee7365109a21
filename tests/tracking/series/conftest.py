"""Series that tests put into blocks, and a run to put them into."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import msgspec
import numpy as np
import pytest

from everloop.catalog.session import Session
from everloop.tracking import service
from everloop.tracking.entities import Logged, Points
from everloop.tracking.series import sealing
from everloop.tracking.writes import write

if TYPE_CHECKING:
    from everloop.tracking.points import Columns

Kind = Literal["steady", "jitter", "random", "constant", "resumed", "pauses"]
KINDS: tuple[Kind, ...] = ("steady", "jitter", "random", "constant", "resumed", "pauses")


class Wanted(msgspec.Struct, frozen=True):
    """What a series is to be like."""

    kind: Kind
    count: int
    seed: int
    gaps: float = 0.0


def made(wanted: Wanted) -> Columns:
    """The steps, times and values of a series, in the order in which they are logged."""
    random, count = np.random.default_rng(wanted.seed), wanted.count
    step, at = np.arange(count), 1_700_000_000_000_000 + np.cumsum(random.integers(0, 2_000, count))
    if wanted.kind == "jitter":
        step = step + random.integers(-20, 20, count)
    if wanted.kind == "random":
        step, at = random.integers(-(10**6), 10**6, count), random.permutation(at)
    if wanted.kind == "constant":
        step, at = np.full(count, 7), np.full(count, at[0] if count else 0)
    if wanted.kind == "resumed":
        step = np.where(step > count // 2, step - count // 4, step)
    if wanted.kind == "pauses":
        at = at + np.cumsum(random.random(count) < 10 / (count + 1)) * 10**10
    value = np.round(random.normal(0, 1, count), 2) + 0.0  # -0.0 is the same point as 0.0, though it shows otherwise
    odd = random.random(count) < wanted.gaps
    value[odd] = random.choice([np.nan, np.inf, -np.inf], int(odd.sum()))
    return step.astype(np.int64), at.astype(np.int64), value


def cut(columns: Columns, edges: Sequence[int]) -> list[Columns]:
    """The parts of a series between edges."""
    step, at, value = (np.split(column, list(edges)) for column in columns)
    return list(zip(step, at, value, strict=True))


def seal(session: Session, run: str, parts: Sequence[Columns], key: str = "loss") -> None:
    """Put parts of a series into blocks, one after the other."""
    before = 0
    for part in parts:
        if len(part[0]):
            sealing.append(session, run, {key: part}, {key: before})
            before += len(part[0])


def log(session: Session, run: str, part: Columns, key: str = "loss") -> None:
    """Log points as a client does, so that they lie in a tail, or in blocks when they are many."""
    step, at, value = part
    index = np.zeros(len(step), "<u4")
    write(session, Logged(run, Points((key,), *(column.tobytes() for column in (index, step, at, value)))))


@pytest.fixture
def run(session: Session) -> str:
    return service.start(session, "trial").id
