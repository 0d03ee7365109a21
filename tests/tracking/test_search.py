"""The search's little language: parsed, bound, never spliced."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everloop.app.platform import Platform
from everloop.catalog.session import Session
from everloop.kernel.clock import SimulatedClock
from everloop.kernel.errors import InvalidInput
from everloop.tracking import service
from everloop.tracking.entities import MetricPoint
from everloop.tracking.index import service as searching
from everloop.tracking.index.expressions import AllOf, AnyOf, Condition, Not, Ordering
from everloop.tracking.search import parse, parse_order, parse_orders


@pytest.fixture(scope="module")
def runs(shared_platform: Platform) -> Iterator[Session]:
    """Three runs: a, b and c."""
    table = {"a": (0.9, "gbm", "1"), "b": (0.7, "linear", "2"), "c": (math.nan, "gbm's", "10")}
    with shared_platform.session().begin() as session:
        for name, (auc, kind, depth) in table.items():
            experiment = "other" if name == "b" else "trial"
            run = service.start(session, experiment, name, {"kind": kind, "depth": depth}, {"owner team": name})
            service.log(session, run.id, (MetricPoint("auc", auc), MetricPoint("val/loss", 1 - auc)))
        service.finish(session, run.id, "failed")
        yield session


def names(session: Session, where: str = "", order: str = "name", **more: object) -> list[str]:
    return [run.name for run in searching.search(session, where=where, order=order, **more)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("", ["a", "b", "c"]),
        ("metrics.auc > 0.7", ["a"]),
        ("metrics.auc >= 0.7", ["a", "b"]),
        ("metrics.auc < 1e0", ["a", "b"]),
        ("metrics.auc != 0.9", ["b", "c"]),
        ("metrics.`val/loss` <= .31", ["a", "b"]),
        ("metrics.val/loss <= .2", ["a"]),
        ("parameters.kind = 'gbm'", ["a"]),
        ('params.kind = "gbm\'s"', ["c"]),
        ("parameters.kind = 'gbm''s'", ["c"]),
        ("parameters.kind like 'gbm%'", ["a", "c"]),
        ("parameters.kind LIKE 'gbm%' AND parameters.depth = '10'", ["c"]),
        ("parameters.kind like 'GBM%'", []),
        ("parameters.kind ILIKE 'GBM%'", ["a", "c"]),
        ("parameters.kind not like 'g%'", ["b"]),
        ("parameters.depth IN ('1', \"2\")", ["a", "b"]),
        ("metrics.auc not in (0.9, 0.7)", ["c"]),
        ("metrics.auc is null", []),
        ("metrics.gone is null and parameters.kind is not null", ["a", "b", "c"]),
        ("not metrics.auc > 0.7", ["b", "c"]),
        ("name = 'a' or name = 'b' and parameters.depth = '1'", ["a"]),
        ("(name = 'a' or name = 'b') and parameters.depth = '2'", ["b"]),
        ("params.\"kind\" = 'gbm'", ["a"]),
        ("attributes.run_name = 'a'", ["a"]),
        ("duration is not null", ["c"]),
        ("started >= '2026-01-01' and start_time < 1767225600001", ["a", "b", "c"]),
        ("started > '2026-01-01'", []),
        ("tags.`owner team` = 'b'", ["b"]),
        ("status = 'failed'", ["c"]),
        ("name != 'a' and experiment = 'trial'", ["c"]),
        ("metrics.gone > 0", []),
    ],
)
def test_a_filter_finds(runs: Session, where: str, found: list[str]) -> None:
    assert names(runs, where) == found


@pytest.mark.parametrize(
    ("order", "found"),
    [
        ("name", ["a", "b", "c"]),
        ("name desc", ["c", "b", "a"]),
        ("metrics.auc", ["b", "a", "c"]),
        ("metrics.auc desc", ["a", "b", "c"]),
        ("parameters.depth asc", ["a", "c", "b"]),
        ("metrics.gone", ["c", "b", "a"]),
        ("started desc", ["c", "b", "a"]),
    ],
)
def test_an_order_puts_what_has_no_value_last(runs: Session, order: str, found: list[str]) -> None:
    if "gone" in order or "started" in order:
        assert sorted(names(runs, order=order)) == sorted(found)
    else:
        assert names(runs, order=order) == found


def test_a_filter_and_an_order_by_metrics_go_together(runs: Session) -> None:
    assert names(runs, "metrics.auc > 0 and parameters.kind like '%'", "metrics.auc") == ["b", "a"]


def test_newest_come_first(session: Session, clock: SimulatedClock) -> None:
    from datetime import timedelta

    for name in "abc":
        service.start(session, "trial", name)
        clock.advance(clock.now() + timedelta(seconds=1))
    assert names(session, order="") == ["c", "b", "a"]
    assert names(session, order="", limit=2) == ["c", "b"]
    assert names(session, order="", limit=-1) == []


def test_an_experiment_narrows_the_search(runs: Session) -> None:
    assert names(runs, experiment="other") == ["b"]


@pytest.mark.parametrize(
    "where",
    [
        "metrics.auc", "metrics.auc >", "metrics.auc > 'a'", "metrics > 1", "parameters.kind > 1", "kind = 'a'",
        "metrics.auc > 1 metrics.auc < 0", "metrics.auc > 1 and", "'a' = 'a'",
        "name = 'a'; drop table runs", "name = 'a", "metrics.auc like 1", "metrics.auc = 1x", "1 = 1", "name = name",
        "metrics.a b > 1", "metrics..auc > 1", "name = 'a')", "(name = 'a'", "()", "not", "project = 'x'", "name ~ 'a'",
        "name in ()", "name in 'a'", "metrics.auc in ('a')", "started > 'soon'", "started like '2%'",
        "dataset.age = 'x'", "name is", "name not = 'a'", "metrics.auc is 1",
        "((" * 100 + "name = 'a'" + "))" * 100, "datasets.name > 1",
    ],
)  # fmt: skip
def test_what_is_not_in_the_language_is_refused(session: Session, where: str) -> None:
    with pytest.raises(InvalidInput):
        searching.search(session, where=where)


@pytest.mark.parametrize(
    "order",
    [
        "name up",
        "auc",
        "metrics.auc desc,, name",
        "metrics.auc desc name",
        "datasets.name",
        "name; drop table runs",
        "1",
        "project",
    ],
)
def test_an_order_that_is_not_in_the_language_is_refused(session: Session, order: str) -> None:
    with pytest.raises(InvalidInput):
        searching.search(session, order=order)


@given(st.text(min_size=1, max_size=20).filter(lambda text: "`" not in text), st.text(max_size=20))
def test_any_key_and_text_can_be_written(key: str, text: str) -> None:
    quoted = text.replace("'", "''")
    assert parse(f"parameters.`{key}` = '{quoted}'") == [Condition("parameter", key, "=", text)]


@given(st.floats(allow_nan=False))
def test_any_number_can_be_written(number: float) -> None:
    assert parse(f"metrics.a > {number!r}") == [Condition("metric", "a", ">", number)]


@given(st.text(max_size=40))
def test_any_other_text_is_refused_or_parsed_and_nothing_else(text: str) -> None:
    with suppress(InvalidInput):
        assert all(isinstance(condition, Condition | AllOf | AnyOf | Not) for condition in parse(text))


def test_an_order_is_parsed() -> None:
    assert parse_order("metrics.auc desc") == Ordering("metric", "auc", True)
    assert parse_order("started") == Ordering("attribute", "started", False)
    assert parse_orders("metrics.auc desc, name") == (Ordering("metric", "auc", True), Ordering("attribute", "name"))


@pytest.mark.parametrize(
    ("where", "place"),
    [("name = 'a' nd name = 'b'", 12), ("metrics.auc >", 14), ("  size = 1", 3), ("name = 'a' and #", 16)],
)
def test_an_error_says_where(where: str, place: int) -> None:
    with pytest.raises(InvalidInput, match=f"character {place}\\b"):
        parse(where)


@pytest.mark.parametrize("text", ["metrics.a > 1 and " * 1_000 + "metrics.a > 1", f"name like '{'%x' * 50_000}'"])
def test_a_filter_without_end_is_refused_before_a_database_has_to(text: str) -> None:
    with pytest.raises(InvalidInput, match="characters"):
        parse(text)
