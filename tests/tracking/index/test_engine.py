"""The engine says what a plain evaluation over dictionaries says: filters, orders and pages, with refreshes between."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from everloop.tracking.index import evaluation, paging
from everloop.tracking.index.expressions import AllOf, AnyOf, Condition, Expression, Not, Ordering, Search
from everloop.tracking.index.table import Batch, Measured, RunTable

RunFacts = Mapping[str, Any]
TEXTS = st.sampled_from(["", "a", "b", "ab", "B", "%", "é", "a_b"])
NUMBERS = st.sampled_from([0.0, -0.0, 1.0, -1.5, 2.5, math.inf, -math.inf, math.nan])
KEYS = st.sampled_from(["x", "y"])
RUN = st.fixed_dictionaries(
    {
        "parameters": st.dictionaries(KEYS, TEXTS),
        "tags": st.dictionaries(KEYS, TEXTS),
        "metrics": st.dictionaries(KEYS, NUMBERS),
        "name": TEXTS,
        "experiment": st.sampled_from(["one", "two"]),
        "started": st.integers(0, 3),
        "ended": st.none() | st.integers(3, 5),
        "deleted": st.sampled_from([None, None, 7]),
        "parent": st.sampled_from(["", "p"]),
    }
)
RUNS = st.dictionaries(st.integers(0, 40).map(lambda number: f"{number:032x}"), RUN, max_size=25)
WORDS = ("=", "!=", "<", "<=", ">", ">=", "like", "not like", "ilike", "not ilike")
TEXT_FIELDS = st.sampled_from(
    [("parameter", "x"), ("parameter", "y"), ("tag", "x"), ("attribute", "name"), ("attribute", "parent")]
)
PATTERNS = TEXTS | st.sampled_from(["a%", "%b", "_", "%a%b%", "%%", "A_B", "a%b"])
TEXT_CONDITIONS = st.one_of(
    st.builds(lambda f, o, v: Condition(f[0], f[1], o, v), TEXT_FIELDS, st.sampled_from(WORDS), PATTERNS),
    st.builds(
        lambda f, o, v: Condition(f[0], f[1], o, tuple(v)),
        TEXT_FIELDS,
        st.sampled_from(["in", "not in"]),
        st.lists(TEXTS),
    ),
    st.builds(lambda f, o: Condition(f[0], f[1], o), TEXT_FIELDS, st.sampled_from(["is null", "is not null"])),
)
METRICS = st.one_of(
    st.builds(lambda k, o, v: Condition("metric", k, o, v), KEYS, st.sampled_from(WORDS[:6]), NUMBERS),
    st.builds(
        lambda k, o, v: Condition("metric", k, o, tuple(v)),
        KEYS,
        st.sampled_from(["in", "not in"]),
        st.lists(NUMBERS.filter(lambda number: number == number), max_size=3),
    ),
    st.builds(lambda k, o: Condition("metric", k, o), KEYS, st.sampled_from(["is null", "is not null"])),
)
EXPRESSIONS: st.SearchStrategy[Expression] = st.recursive(
    TEXT_CONDITIONS | METRICS,
    lambda parts: (
        st.builds(lambda inner: AllOf(tuple(inner)), st.lists(parts, min_size=1, max_size=3))
        | st.builds(lambda inner: AnyOf(tuple(inner)), st.lists(parts, min_size=1, max_size=3))
        | st.builds(Not, parts)
    ),
    max_leaves=4,
)
FIELDS = TEXT_FIELDS | st.sampled_from(
    [("metric", "x"), ("metric", "y"), ("attribute", "id"), ("attribute", "started"), ("attribute", "duration")]
)
ORDERS = st.lists(st.builds(lambda f, d: Ordering(f[0], f[1], d), FIELDS, st.booleans()), max_size=3).map(tuple)
SEARCHES = st.builds(
    Search,
    experiments=st.sampled_from([(), ("one",), ("one", "two"), ("three",)]),
    conditions=st.lists(EXPRESSIONS, max_size=2).map(tuple),
    orders=ORDERS,
    deleted=st.sampled_from([None, False, True]),
    limit=st.integers(1, 5),
)


def put(table: RunTable, runs: Mapping[str, RunFacts]) -> None:
    """Write runs to a table, all at once."""
    every = list(runs.values())
    texts = {name: [""] * len(every) for name in ("status", "user", "group", "code", "inputs")}
    texts |= {name: [run[name] for run in every] for name in ("experiment", "name", "parent")}
    times = {name: [run[name] for run in every] for name in ("started", "ended", "deleted")}
    metrics = [{key: Measured(value) for key, value in run["metrics"].items()} for run in every]
    parameters, tags = [run["parameters"] for run in every], [run["tags"] for run in every]
    table.put(Batch(list(runs), texts, times, parameters, tags, metrics))


def value_of(id: str, run: RunFacts, kind: str, key: str) -> Any:
    """What a run has for a field; None for nothing."""
    if kind != "attribute":
        return run[f"{kind}s"].get(key)
    if key == "duration":
        return None if run["ended"] is None else (run["ended"] - run["started"]) / 1e6
    return id if key == "id" else (run[key] or None) if key == "parent" else run[key]


def like(text: str, pattern: str, flags: int) -> bool:
    parts = (".*" if one == "%" else "." if one == "_" else re.escape(one) for one in pattern)
    return re.fullmatch("".join(parts), text, flags | re.DOTALL) is not None


COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda value, wanted: value == wanted,
    "!=": lambda value, wanted: value != wanted,
    "<": lambda value, wanted: value < wanted,
    "<=": lambda value, wanted: value <= wanted,
    ">": lambda value, wanted: value > wanted,
    ">=": lambda value, wanted: value >= wanted,
    "in": lambda value, wanted: value in wanted,
    "not in": lambda value, wanted: value not in wanted,
    "like": lambda value, wanted: like(value, wanted, 0),
    "not like": lambda value, wanted: not like(value, wanted, 0),
    "ilike": lambda value, wanted: like(value, wanted, re.IGNORECASE),
    "not ilike": lambda value, wanted: not like(value, wanted, re.IGNORECASE),
}


def holds(id: str, run: RunFacts, expression: Expression) -> bool:
    if isinstance(expression, AllOf):
        return all(holds(id, run, part) for part in expression.parts)
    if isinstance(expression, AnyOf):
        return any(holds(id, run, part) for part in expression.parts)
    if isinstance(expression, Not):
        return not holds(id, run, expression.part)
    value = value_of(id, run, expression.kind, expression.key)
    if expression.operator in ("is null", "is not null"):
        return (value is None) == (expression.operator == "is null")
    return value is not None and COMPARE[expression.operator](value, expression.value)


def plainly(runs: Mapping[str, RunFacts], search: Search) -> list[str]:
    """The ids that a search finds, in order, the plain way."""
    found = [
        id
        for id, run in runs.items()
        if (not search.experiments or run["experiment"] in search.experiments)
        and (search.deleted is None or (run["deleted"] is not None) == search.deleted)
        and all(holds(id, run, condition) for condition in search.conditions)
    ]
    found.sort()
    newest = Ordering("attribute", "started", True)
    for order in reversed((*search.orders, newest)):
        values = {id: value_of(id, runs[id], order.kind, order.key) for id in found}
        plain = [id for id in found if values[id] is not None and values[id] == values[id]]
        plain.sort(key=values.__getitem__, reverse=order.descending)
        if order.descending:  # A reversed sort keeps the order of equals.
            assert plain == sorted(plain, key=values.__getitem__, reverse=True)
        nan = [id for id in found if values[id] is not None and values[id] != values[id]]
        found = [*plain, *nan, *(id for id in found if values[id] is None)]
    return found


def paged(table: RunTable, search: Search) -> tuple[list[str], str]:
    """A page of a table, and the cursor of the next."""
    rows = evaluation.wanted_rows(table, search, lambda _: {})
    order = paging.Order(table, search)
    if search.after:
        rows = order.after(rows, paging.position_of(search.after, search, order.length))
    first = order.first(rows, search.limit)
    cursor = paging.cursor_of(order.position(int(first[-1]), search)) if len(rows) > search.limit else ""
    return [table.identities.column.at(row).decode() for row in first.tolist()], cursor


def every_page(table: RunTable, search: Search, between: Callable[[], None] = lambda: None) -> list[str]:
    import msgspec

    found, cursor = paged(table, search)
    while cursor:
        between()
        ids, cursor = paged(table, msgspec.structs.replace(search, after=cursor))
        found += ids
    return found


@given(RUNS, SEARCHES)
def test_pages_together_are_what_a_plain_evaluation_finds(runs: Mapping[str, RunFacts], search: Search) -> None:
    table = RunTable()
    put(table, runs)
    assert every_page(table, search) == plainly(runs, search)


@given(RUNS, RUNS, SEARCHES)
def test_what_runs_were_before_leaves_nothing_behind(
    before: Mapping[str, RunFacts], after: Mapping[str, RunFacts], search: Search
) -> None:
    table = RunTable()
    put(table, before)
    paged(table, search)
    put(table, after)
    assert every_page(table, search) == plainly({**before, **after}, search)


@given(RUNS, RUNS, SEARCHES)
def test_runs_that_nobody_touches_are_on_exactly_one_page(
    runs: Mapping[str, RunFacts], others: Mapping[str, RunFacts], search: Search
) -> None:
    table = RunTable()
    put(table, runs)
    pages = every_page(table, search, lambda: put(table, others))
    untouched = {id: run for id, run in runs.items() if id not in others}
    assert [id for id in pages if id in untouched] == plainly(untouched, search)


@given(RUNS, SEARCHES, st.sets(st.integers(0, 40)))
def test_removed_runs_are_found_no_more(runs: Mapping[str, RunFacts], search: Search, numbers: set[int]) -> None:
    table = RunTable()
    put(table, runs)
    gone = [f"{number:032x}" for number in numbers]
    table.remove(gone)
    left = {id: run for id, run in runs.items() if id not in gone}
    assert every_page(table, search) == plainly(left, search)


def test_runs_in_many_blocks_are_found_as_in_one() -> None:
    table, runs = RunTable(), {}
    for number in range(10_000):
        runs[f"{number * 7919 % 10_007:032x}"] = {
            "parameters": {"x": f"v{number % 7}"} if number % 3 else {},
            "tags": {},
            "metrics": {"x": float(number % 101)} if number > 5_000 else {},
            "name": "n",
            "experiment": "one",
            "started": number % 13,
            "ended": None,
            "deleted": None,
            "parent": "",
        }
    put(table, runs)
    search = Search(orders=(Ordering("metric", "x", True), Ordering("parameter", "x")), limit=3_000)
    assert every_page(table, search) == plainly(runs, search)
    some = Search(conditions=(Condition("metric", "x", ">", 50.0), Condition("parameter", "x", "=", "v3")))
    assert every_page(table, some) == plainly(runs, some)
