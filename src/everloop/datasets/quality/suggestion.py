"""Suites that are suggested: inferred from the profile of a version, with the reason beside each expectation.

What the data *is* (types, keys, nothing missing) is suggested as an error; what it was *so far* (ranges, sets, sizes)
with a margin, as a warning. Every suggestion was tried on the version that it was inferred from, which passes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from everloop.catalog.session import Session
from everloop.datasets.content import profile_of, read_table
from everloop.datasets.entities import ColumnProfile, Profile, Snapshot
from everloop.datasets.quality.expectations import (
    Expectation,
    Freshness,
    HasTypes,
    InRange,
    Length,
    Matches,
    NotNull,
    OneOf,
    RowCount,
    Unique,
)
from everloop.datasets.quality.service import examine
from everloop.datasets.quality.suitefile import Comments, write_suite
from everloop.datasets.quality.suites.entities import SuiteDeclaration

if TYPE_CHECKING:
    import pyarrow as pa

MARGIN = 0.1
"""So much of its span a range is made wider at each end."""
FEW = 20
"""A text column with at most so many values, each met often, has a set of them."""
OFTEN = 10
"""So many rows there are for each value of a set, at least."""
MOST_SHAPES = 50_000
"""Among more different texts than this no common shape is looked for."""
OLD = timedelta(days=30)
"""Data whose newest time is older than this is not kept fresh by anybody."""
_NUMBERS = ("int", "uint", "float", "decimal")


class Suggested(msgspec.Struct, frozen=True):
    """An expectation, and why."""

    expectation: Expectation
    reason: str


def suggested(session: Session, snapshot: Snapshot) -> str:
    """The file of a suite that a version passes."""
    profile = profile_of(session, snapshot)
    table = read_table(session, snapshot)
    found = [*inferred(profile, session.clock.now()), *shapes(profile, table)]
    results = examine(session, snapshot.dataset, table, [one.expectation for one in found])
    kept = [one for one, result in zip(found, results, strict=True) if result.passed]
    of = tuple((one.expectation, (f"# {one.reason}",)) for one in kept)
    declared = SuiteDeclaration(dataset=snapshot.dataset, expectations=tuple(one.expectation for one in kept))
    return write_suite(declared, Comments(_head(session, snapshot), of))


def inferred(profile: Profile, now: datetime) -> Iterator[Suggested]:
    """What a profile lets expect of later versions."""
    rows = profile.rows
    types = {column.name: column.type for column in profile.columns}
    yield Suggested(HasTypes(types), "The columns and their types as they are.")
    if rows:
        yield Suggested(
            RowCount(rows // 2, rows * 2, "warning"), f"{rows:,} rows; half as many to twice as many are no surprise."
        )
    for column in profile.columns:
        yield from _present(column, rows)
        key = list(_key(column, rows))
        yield from key or _range(column)
        yield from _values(column)
        yield from _fresh(column, now)


def shapes(profile: Profile, table: pa.Table) -> Iterator[Suggested]:
    """The forms and lengths of texts: a pattern where all have one shape, a band of lengths elsewhere."""
    for column in profile.columns:
        if column.type == "string" and column.count > column.nulls and not _is_set(column):
            texts = [text for text in table[column.name].unique().to_pylist() if text is not None]
            yield from _shape(column.name, texts)


def pattern_of(texts: Iterable[str]) -> str:
    """The regular expression of the one shape that texts have (runs of digits, letters, single signs), or nothing.

    >>> pattern_of(["N101", "N9"])
    'N[0-9]{1,3}'
    """
    merged: list[tuple[str, set[str]]] | None = None
    for text in texts:
        runs = [(_class(run), run) for run in re.findall(r"[0-9]+|[a-z]+|[A-Z]+|.", text, re.DOTALL)]
        if merged is None:
            merged = [(kind, {run}) for kind, run in runs]
        elif [kind for kind, _ in merged] != [kind for kind, _ in runs]:
            return ""
        for (_, seen), (_, run) in zip(merged, runs, strict=True):
            seen.add(run)
    return "".join(_run(kind, seen) for kind, seen in merged or [])


def _head(session: Session, snapshot: Snapshot) -> tuple[str, ...]:
    name = snapshot.dataset
    return (
        f"# Suggested from {name}@{snapshot.version}, {session.clock.now():%Y-%m-%d}. Nothing of it is in force yet:",
        "# strike what is chance, tighten what is known, then",
        f"# everloop datasets import-suite {name} --text @{name}.checks.yaml",
        "# gates: [commit, training]    # where it stands in the way: commit, merge, training, deployment",
    )


def _present(column: ColumnProfile, rows: int) -> Iterator[Suggested]:
    if not rows:
        return
    if not column.nulls:
        yield Suggested(NotNull(column.name), f"{column.name} has a value in every row.")
        return
    share = column.nulls / rows
    mostly = math.floor((1 - min(1.0, share * 1.5 + 0.01)) * 1000) / 1000
    if mostly > 0:
        reason = f"{share * 100:.2g} % of the rows have no {column.name}; half as many again are no surprise."
        yield Suggested(NotNull(column.name, mostly, "warning"), reason)


def _key(column: ColumnProfile, rows: int) -> Iterator[Suggested]:
    if rows > 1 and not column.nulls and column.distinct == rows and column.type.startswith(("int", "uint", "string")):
        yield Suggested(Unique((column.name,)), f"{column.name} is different in each of the {rows:,} rows.")


def _range(column: ColumnProfile) -> Iterator[Suggested]:
    low, high = column.minimum, column.maximum
    if not column.type.startswith(_NUMBERS) or not isinstance(low, int | float) or not isinstance(high, int | float):
        return
    if not (math.isfinite(low) and math.isfinite(high)):
        return
    margin = (high - low) * MARGIN or abs(high) * MARGIN or 1.0
    bottom, top = rounded(low - margin, margin, up=False), rounded(high + margin, margin, up=True)
    if low >= 0:
        bottom = max(bottom, 0)
    reason = f"{column.name} is from {low:,.6g} to {high:,.6g}; a tenth of that span more at each end."
    yield Suggested(InRange(column.name, bottom, top, severity="warning"), reason)


def rounded(value: float, margin: float, *, up: bool) -> int | float:
    """A round number at most a margin above a value (or below it); the value itself where floats are too coarse."""
    step = 10.0 ** math.floor(math.log10(margin / 2))
    found = float(f"{(math.ceil if up else math.floor)(value / step) * step:.15g}")
    if not (value <= found <= value + margin if up else value - margin <= found <= value):
        return value
    return int(found) if found.is_integer() and abs(found) < 1 << 53 else found


def _is_set(column: ColumnProfile) -> bool:
    return (
        column.type == "string"
        and 0 < column.distinct <= FEW
        and len(column.top) == column.distinct
        and column.count - column.nulls >= OFTEN * column.distinct
    )


def _values(column: ColumnProfile) -> Iterator[Suggested]:
    if _is_set(column):
        values = tuple(sorted(value for value, _ in column.top))
        reason = f"{column.name} has only {len(values)} different values in {column.count - column.nulls:,} rows."
        yield Suggested(OneOf(column.name, values, severity="warning"), reason)


def _fresh(column: ColumnProfile, now: datetime) -> Iterator[Suggested]:
    if not column.type.startswith("timestamp") or not isinstance(column.maximum, str):
        return
    newest = datetime.fromisoformat(column.maximum)
    age = now - (newest if newest.tzinfo else newest.replace(tzinfo=now.tzinfo))
    if timedelta(0) <= age <= OLD:
        hours = max(1, math.ceil(age / timedelta(hours=1))) * 2
        within = f"{hours}h" if hours < 48 else f"{math.ceil(hours / 24)}d"
        reason = f"The newest {column.name} is {age // timedelta(hours=1)} hours old; twice that is late."
        yield Suggested(Freshness(column.name, within, "warning"), reason)


def _shape(name: str, texts: list[str]) -> Iterator[Suggested]:
    pattern = pattern_of(texts) if 1 < len(texts) <= MOST_SHAPES else ""
    if pattern:
        reason = f"All {len(texts):,} different values of {name} have this one shape."
        yield Suggested(Matches(name, pattern, severity="warning"), reason)
        return
    short, long = min(map(len, texts)), max(map(len, texts))
    reason = f"{name} has from {short} to {long} characters; twice as many are no surprise."
    yield Suggested(Length(name, 1 if short else 0, long * 2, severity="warning"), reason)


def _class(run: str) -> str:
    first = run[0]
    for kind, low, high in (("[0-9]", "0", "9"), ("[a-z]", "a", "z"), ("[A-Z]", "A", "Z")):
        if low <= first <= high:
            return kind
    return first


def _run(kind: str, seen: set[str]) -> str:
    """One run of a shape: the text itself where it never changes, else its class and how long it is."""
    if len(seen) == 1:
        return re.sub(r"([\\.+*?()|\[\]{}^$])", r"\\\1", next(iter(seen)))
    short, long = min(map(len, seen)), max(map(len, seen))
    return kind + (f"{{{short}}}" if short == long else f"{{{short},{long}}}") * (short != 1 or long != 1)
