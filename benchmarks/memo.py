"""Pipelines: remembered steps and steps that do nothing, beside a hash, a look-up and a transaction of bare SQLite."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count
from typing import cast

import msgspec
from blake3 import blake3

import everloop as el
from benchmarks import scratch
from benchmarks.harness import Figure, Side, compare, repeated
from everloop.pipelines.declare import Pipeline
from everloop.pipelines.execution import execute

STEPS = 100


@el.step
def following(number: int, salt: int) -> int:
    """The number after a number; every salt is a step that nobody has run."""
    return number + 1


@el.pipeline
def chain(salt: int, steps: int = STEPS) -> int:
    """Steps that wait for each other."""
    number = 0
    for _ in range(steps):
        number = following(number, salt)
    return number


CHAIN = cast("Pipeline[..., object]", chain)


def run() -> Sequence[Figure]:
    """Remembered, executed, and what an execution costs before its first step."""
    session = scratch.platform().session()
    salts: Iterator[int] = count(1)
    bare = _Bare()
    execute(session, CHAIN, {"salt": 0})
    return [
        compare(
            f"a step from the memo, in an execution of {STEPS}",
            Side("pipeline", lambda: execute(session, CHAIN, {"salt": 0})),
            Side("BLAKE3, SELECT", repeated(bare.look_up, STEPS)),
            each=STEPS,
        ),
        compare(
            f"a step that does nothing, in an execution of {STEPS}",
            Side("pipeline", lambda: execute(session, CHAIN, {"salt": next(salts)})),
            Side("BLAKE3, SELECT, transaction", repeated(bare.remember, STEPS)),
            each=STEPS,
        ),
        compare(
            "an execution without steps",
            Side("pipeline", lambda: execute(session, CHAIN, {"salt": 0, "steps": 0})),
            Side("BLAKE3, SELECT, transaction", bare.remember),
        ),
    ]


class _Bare:
    def __init__(self) -> None:
        self._connection = scratch.bare_sqlite("CREATE TABLE memo (key TEXT PRIMARY KEY, output TEXT)")
        self._numbers: Iterator[int] = count()

    def look_up(self) -> str:
        key = blake3(msgspec.json.encode(["following", {"number": next(self._numbers), "salt": 0}])).hexdigest()
        self._connection.execute("SELECT output FROM memo WHERE key = ?", (key,)).fetchone()
        return key

    def remember(self) -> None:
        key = self.look_up()
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.execute("INSERT INTO memo VALUES (?, ?)", (key, "1"))
        self._connection.execute("COMMIT")
