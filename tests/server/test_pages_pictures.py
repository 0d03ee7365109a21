"""Charts, strips and graphs: what is drawn, and what is left out."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everloop.loop.entities import Candidate
from everloop.monitoring.entities import Performance, WindowReport
from everloop.server.pages import performance, strips
from everloop.server.pages.charts import (
    HEIGHT,
    Chart,
    Mark,
    Point,
    Series,
    line_chart,
    month_ticks,
    nice_scale,
    nice_step,
)
from everloop.server.pages.graph import Node, acyclic, layered, ordered, picture, reduced

START = datetime(2013, 1, 1, tzinfo=UTC)
numbers = st.floats(-1e9, 1e9)


def drawn(*ys: float, **more: object) -> str:
    points = [Point(float(x), y) for x, y in enumerate(ys)]
    return str(line_chart(Chart(title="A & B", series=[Series("one", points)], **more)))  # type: ignore[arg-type]


@given(st.lists(numbers | st.just(float("nan")) | st.just(float("inf")), max_size=20))
def test_any_values_give_a_picture_that_is_well_formed(ys: list[float]) -> None:
    figure = ElementTree.fromstring(drawn(*ys).replace("&nbsp;", " "))
    for circle in figure.iter("circle"):
        assert -1 <= float(circle.attrib["cx"].rstrip("%")) <= 101
        assert -1 <= float(circle.attrib["cy"]) <= HEIGHT + 1


@pytest.mark.parametrize("ys", [[5e-324], [0.0, 5e-324], [1e308]])
def test_very_small_and_very_large_numbers_have_a_picture(ys: list[float]) -> None:
    assert "<svg" in drawn(*ys)


def test_without_a_finite_value_a_sentence_stands_in_the_place_of_the_picture() -> None:
    assert drawn(float("nan")) == '<p class="empty">A &amp; B: nothing measured yet.</p>'


@given(st.floats(1e-9, 1e9))
def test_a_step_is_one_two_or_five_and_cuts_the_span_into_a_few_parts(span: float) -> None:
    step = nice_step(span)
    assert f"{step:e}"[0] in "125"
    assert 1.5 <= span / step <= 4.0001


@given(numbers, numbers)
def test_a_scale_holds_its_values_between_round_ends(one: float, other: float) -> None:
    low, high = min(one, other), max(one, other)
    scale = nice_scale(low, high)
    slack = 1e-6 * max(abs(low), abs(high), 1e-300)
    assert scale.low - slack <= low <= high <= scale.high + slack
    assert scale.low < scale.high


def test_marks_outside_of_the_measured_time_are_left_out() -> None:
    assert drawn(1, 2, 3, marks=[Mark(1.0, "in"), Mark(9.0, "out")]).count('class="mark') == 1


def test_labels_of_marks_do_not_stand_on_each_other_but_their_sentences_stay() -> None:
    marks = [Mark(50.0, "first", label="v1"), Mark(50.5, "second", label="v2"), Mark(90.0, "third", label="v3")]
    html = drawn(*range(101), marks=marks)
    assert [label for label in ("v1", "v2", "v3") if f">{label}<" in html] == ["v1", "v3"]
    assert "<title>second</title>" in html


def test_labels_of_the_axis_do_not_stand_on_each_other() -> None:
    html = drawn(*range(101), ticks=[(0.0, "Jan"), (97.0, "Nov"), (100.0, "Dec")])
    assert [text for text in ("Jan", "Nov", "Dec") if f">{text}<" in html] == ["Jan", "Nov"]


def test_a_chart_is_told_in_a_sentence_to_those_who_do_not_see_it() -> None:
    assert 'aria-label="A &amp; B: from 1 to 3, 2 at the end"' in drawn(1, 3, 2)


def test_a_year_has_its_months_as_ticks_and_a_few_days_have_days() -> None:
    year = month_ticks(START.timestamp(), (START + timedelta(days=360)).timestamp())
    assert [text for _, text in year][:3] == ["Jan 2013", "Feb", "Mar"]
    assert [text for _, text in month_ticks(START.timestamp(), (START + timedelta(days=8)).timestamp())] == [
        "01 Jan",
        "05 Jan",
        "09 Jan",
    ]


def test_many_years_have_no_more_ticks_than_fit() -> None:
    assert len(month_ticks(START.timestamp(), (START + timedelta(days=4000)).timestamp())) <= 14


def test_bars_are_as_long_as_their_values_and_the_longest_fills_the_place() -> None:
    html = str(strips.bars("x", [strips.Bar("a", 2.0, "2"), strips.Bar("b", -1.0, "-1"), strips.Bar("c", 0.0, "0")]))
    assert re.findall(r'class="fill" width="([\d.]+)%"', html) == ["100.00", "50.00", "0.00"]


def test_a_box_needs_a_spread() -> None:
    assert strips.box((1.0,) * 9) == ""
    assert 'x="25.00%"' in strips.box((0, 0, 5, 25, 50, 75, 95, 100, 200))


def test_spans_follow_each_other_on_one_axis() -> None:
    first, second = strips.spans([(0.0, 3.0, ""), (3.0, 1.0, "hit")])
    assert 'x="0.00%" width="75.00%"' in first
    assert 'x="75.00%" width="25.00%"' in second


def window(day: int, roc_auc: float | None, n: int = 100) -> WindowReport:
    start = START + timedelta(days=day)
    measured = Performance(n, 20, roc_auc, 0.02, 0.5, 0.1, 0.2, 0.03)
    return WindowReport("delay", start, start + timedelta(days=1), n, 1, labels=n, performance=measured, final=True)


def test_long_histories_are_drawn_by_week_and_short_ones_by_window() -> None:
    year, week = ([window(day, 0.7) for day in range(days)] for days in (364, 7))
    assert str(performance.roc_auc(year, ())).count('class="dot') == 52
    assert str(performance.roc_auc(week, ())).count('class="dot') == 7


def test_the_mean_of_a_week_counts_each_label_once() -> None:
    reports = [window(day, 0.9, n=300) if day == 0 else window(day, 0.5, n=50) for day in range(50)]
    assert "ROC AUC 0.7000" in performance.roc_auc(reports, ())


def test_the_recent_figure_is_of_the_last_days_only() -> None:
    assert performance.recent(
        [*(window(day, 0.5) for day in range(20)), *(window(20 + day, 0.8) for day in range(7))]
    ) == (
        pytest.approx(0.8),
        700,
    )


def test_windows_without_labels_say_nothing() -> None:
    assert performance.recent([window(0, None)]) is None
    assert "nothing measured yet" in performance.roc_auc([window(0, None)], ())


def test_only_candidates_that_came_to_an_end_are_marked() -> None:
    ended = {"promoted": "good", "rolled_back": "bad", "refused": "bad"}
    candidates = [
        Candidate("x", "delay", "delay", status, "every", "", "fit", {}, START, version=3, ended=START)  # type: ignore[arg-type]
        for status in (*ended, "training", "rolling_out")
    ]
    assert [mark.kind for mark in performance.marks_of(candidates)] == list(ended.values())


nodes = st.integers(0, 9).map(str)
graphs = st.lists(st.tuples(nodes, nodes), max_size=30)


def reach(edges: list[tuple[str, str]]) -> set[tuple[str, str]]:
    found = set(edges)
    while True:
        more = found | {(a, d) for a, b in found for c, d in found if b == c}
        if more == found:
            return found
        found = more


@given(graphs)
def test_a_graph_without_its_cycles_has_none_and_gains_nothing(edges: list[tuple[str, str]]) -> None:
    kept = acyclic(edges)
    assert set(kept) <= set(edges)
    assert not {(a, b) for a, b in reach(kept) if a == b}


@given(graphs)
def test_leaving_out_what_follows_changes_nothing_about_what_comes_of_what(edges: list[tuple[str, str]]) -> None:
    kept = acyclic(edges)
    assert reach(reduced(kept)) == reach(kept)


@given(graphs)
def test_every_edge_leads_to_a_later_layer_and_every_node_stands_once(edges: list[tuple[str, str]]) -> None:
    kept = acyclic(edges)
    everything = [str(number) for number in range(10)]
    layers = ordered(layered(everything, kept), kept)
    depth = {node: place for place, layer in enumerate(layers) for node in layer}
    assert sorted(node for layer in layers for node in layer) == everything
    assert all(depth[a] < depth[b] for a, b in kept)


def test_names_in_a_graph_are_escaped() -> None:
    svg = picture([Node("<b>", "model", "<i>&", "/?a=1&b=<")], [], "<b>")
    assert ElementTree.fromstring(svg).find(".//{*}title").text == "<b>"  # type: ignore[union-attr]
