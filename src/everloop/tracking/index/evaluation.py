"""Which rows meet a condition: texts are compared once for each distinct one, numbers block by block."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from everloop.catalog.like import matcher
from everloop.kernel.clock import micros
from everloop.tracking.index.columns import ABSENT_BITS, BITS, BLOCK, NO_TIME, Blocked, Rows, Texts
from everloop.tracking.index.expressions import (
    ASKING,
    LISTING,
    AllOf,
    AnyOf,
    Condition,
    Expression,
    Not,
    Search,
    type_of,
)
from everloop.tracking.index.facts import DatasetFacts, code_in, urns_in
from everloop.tracking.index.fields import OPTIONAL, durations
from everloop.tracking.index.table import RunTable

Mask = NDArray[np.bool_]
Test = Callable[[int], Mask | None]
"""Which rows of a block are meant; None where no one is."""
_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_EVERY: Mask = np.ones(BLOCK, np.bool_)


def wanted_rows(table: RunTable, search: Search, facts: DatasetFacts) -> Rows:
    """The rows that a search finds, ascending, whichever page it wants."""
    tests = [_alive(table)]
    if search.experiments:
        tests.append(_test(table, Condition("attribute", "experiment", "in", search.experiments), facts))
    if search.deleted is not None:
        asked = Condition("attribute", "deleted", "is not null" if search.deleted else "is null")
        tests.append(_test(table, asked, facts))
    tests += [_test(table, condition, facts) for condition in search.conditions]
    every = _all_of(tests)
    found: list[Rows] = []
    for number in range(table.blocks):
        mask = every(number)
        if mask is not None:
            found.append(np.flatnonzero(mask) + (number << BITS))
    return np.concatenate(found) if found else np.array([], np.int64)


def _test(table: RunTable, expression: Expression, facts: DatasetFacts) -> Test:
    if isinstance(expression, AllOf):
        return _all_of([_test(table, part, facts) for part in expression.parts])
    if isinstance(expression, AnyOf):
        return _any_of([_test(table, part, facts) for part in expression.parts])
    if isinstance(expression, Not):
        return _not(_test(table, expression.part, facts))
    return _condition(table, expression, facts)


def _condition(table: RunTable, condition: Condition, facts: DatasetFacts) -> Test:
    key = condition.key
    if condition.kind == "metric":
        return _numbers(table.metrics.get(key), condition)
    if condition.kind == "parameter":
        return _texts(table.parameters.get(key), condition, _itself)
    if condition.kind == "tag":
        return _texts(table.tags.get(key), condition, _itself)
    if condition.kind == "dataset":
        return _texts(table.texts["inputs"], condition, lambda text: _of_datasets(text, key, facts))
    if key == "id":
        return _identities(table, condition)
    if key == "duration":
        return _values(lambda number: durations(table, number), condition, _is_number)
    if type_of("attribute", key) == "time":
        return _values(table.times[key].block, condition, _is_time)
    if key in ("revision", "branch"):
        return _texts(table.texts["code"], condition, lambda text: _filled(getattr(code_in(text), key)))
    return _texts(table.texts[key], condition, _filled if key in OPTIONAL else _itself)


def _texts(column: Texts | None, condition: Condition, read: Callable[[str], Sequence[str]]) -> Test:
    """A test of texts. `read` gives what a word of the dictionary stands for: none, one or several texts."""
    if column is None:
        return _absent(condition)
    if read is _itself and condition.operator == "=":
        return _equal(column, column.words.code(cast(str, condition.value)))
    hits = column.remembered(condition, _hits(condition)) if read is _itself else _read_hits(column, condition, read)
    if not hits.any():
        return _none
    return lambda number: _looked_up(column.block(number), hits)


def _hits(condition: Condition) -> Callable[[Sequence[str]], Mask]:
    """Which words a condition holds for; the first of a dictionary stands for no text."""
    if condition.operator in ASKING:
        return lambda words: np.full(len(words), condition.operator == "is not null")
    one = _of_text(condition)
    return lambda words: np.fromiter(map(one, words), np.bool_, len(words))


def _read_hits(column: Texts, condition: Condition, read: Callable[[str], Sequence[str]]) -> Mask:
    holds = _holds(condition)
    return np.array([holds(()), *(holds(read(word)) for word in column.words.since(1))])


def _looked_up(block: NDArray[np.int32] | None, hits: Mask) -> Mask | None:
    if block is None:
        return _EVERY if hits[0] else None
    found: Mask = hits[block]
    return found


def _equal(column: Blocked[np.int32], code: int) -> Test:
    def test(number: int) -> Mask | None:
        block = column.block(number)
        return None if block is None else cast(Mask, block == code)

    return _none if code < 0 else test


def _holds(condition: Condition) -> Callable[[Sequence[str]], bool]:
    """Whether a condition holds for what may be none, one or several texts."""
    if condition.operator == "is null":
        return lambda texts: not texts
    if condition.operator == "is not null":
        return lambda texts: bool(texts)
    one = _of_text(condition)
    return lambda texts: any(one(text) for text in texts)


def _of_text(condition: Condition) -> Callable[[str], bool]:
    wanted = condition.value
    if condition.operator in LISTING:
        listed = frozenset(cast(Iterable[str], wanted))
        return (lambda text: text in listed) if condition.operator == "in" else (lambda text: text not in listed)
    if condition.operator in _COMPARE:
        compare = _COMPARE[condition.operator]
        return lambda text: cast(bool, compare(text, wanted))
    matches = matcher(str(wanted), ignoring_case=condition.operator.endswith("ilike"))
    return (lambda text: not matches(text)) if condition.operator.startswith("not") else matches


def _numbers(column: Blocked[np.float64] | None, condition: Condition) -> Test:
    return _absent(condition) if column is None else _values(column.block, condition, _is_number)


def _values(
    block_of: Callable[[int], NDArray[Any] | None], condition: Condition, is_there: Callable[[NDArray[Any]], Mask]
) -> Test:
    """A test of numbers or times."""
    if condition.operator == "is null":
        return lambda number: _missing(block_of(number), is_there)
    if condition.operator == "is not null":
        return lambda number: None if (block := block_of(number)) is None else is_there(block)
    if condition.operator in LISTING:
        listed = np.array(list(cast(Iterable[float], condition.value)))
        chosen = condition.operator == "in"

        def among(number: int) -> Mask | None:
            block = block_of(number)
            return None if block is None else (np.isin(block, listed) == chosen) & is_there(block)

        return among
    compare, wanted = _COMPARE[condition.operator], _plain(condition.value)

    def test(number: int) -> Mask | None:
        block = block_of(number)
        return None if block is None else cast(Mask, compare(block, wanted)) & is_there(block)

    return test


def _identities(table: RunTable, condition: Condition) -> Test:
    holds = _of_text(condition) if condition.value is not None else lambda _: condition.operator == "is not null"
    if condition.operator in ("=", "in"):
        named = cast(Iterable[str], condition.value if condition.operator == "in" else (condition.value,))
        rows = {row for row in table.identities.rows_of([name.encode() for name in named]) if row >= 0}
        return lambda number: _only([row - (number << BITS) for row in rows if row >> BITS == number])

    def test(number: int) -> Mask | None:
        block = table.identities.column.block(number)
        return None if block is None else np.fromiter((holds(id.decode()) for id in block.tolist()), np.bool_, BLOCK)

    return test


def _only(places: Sequence[int]) -> Mask | None:
    if not places:
        return None
    mask = np.zeros(BLOCK, np.bool_)
    mask[list(places)] = True
    return mask


def _alive(table: RunTable) -> Test:
    return table.alive.block


def _all_of(tests: Sequence[Test]) -> Test:
    def test(number: int) -> Mask | None:
        found = tests[0](number)
        for other in tests[1:]:
            if found is None:
                return None
            mask = other(number)
            found = None if mask is None else found & mask
        return found

    return test


def _any_of(tests: Sequence[Test]) -> Test:
    def test(number: int) -> Mask | None:
        found: Mask | None = None
        for other in tests:
            mask = other(number)
            if mask is not None:
                found = mask if found is None else found | mask
        return found

    return test


def _not(part: Test) -> Test:
    return lambda number: _EVERY if (mask := part(number)) is None else ~mask


def _none(_number: int) -> Mask | None:
    return None


def _absent(condition: Condition) -> Test:
    """The test of a key that no run has."""
    return (lambda _: _EVERY) if condition.operator == "is null" else _none


def _missing(block: NDArray[Any] | None, is_there: Callable[[NDArray[Any]], Mask]) -> Mask:
    return _EVERY if block is None else ~is_there(block)


def _is_number(block: NDArray[Any]) -> Mask:
    return cast(Mask, block.view(np.int64) != ABSENT_BITS)


def _is_time(block: NDArray[Any]) -> Mask:
    return cast(Mask, block != NO_TIME)


def _plain(value: object) -> object:
    return micros(value) if isinstance(value, datetime) else value


def _itself(text: str) -> Sequence[str]:
    return (text,)


def _filled(text: str) -> Sequence[str]:
    return (text,) if text else ()


def _of_datasets(text: str, key: str, facts: DatasetFacts) -> Sequence[str]:
    if not text:
        return ()
    return [told[key] for urn in urns_in(text) if key in (told := facts(urn))]
