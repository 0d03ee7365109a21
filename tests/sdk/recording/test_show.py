"""Runs as HTML: what is shown, and that nothing in it is taken for markup."""

from __future__ import annotations

import math
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

import everloop as el
from everloop.sdk.platform import Everloop
from everloop.sdk.recording import show


@given(st.lists(st.floats(), max_size=50))
def test_a_small_line_is_well_formed_and_stays_inside(values: list[float]) -> None:
    drawn = show.sparkline(values)
    if not drawn:
        assert not any(map(math.isfinite, values))
        return
    points = ElementTree.fromstring(drawn)[0].attrib["points"].split()
    assert len(points) == sum(map(math.isfinite, values))
    assert all(0 <= float(number) <= 120 for point in points for number in point.split(","))


def test_names_and_values_are_no_markup() -> None:
    html = show.card("<script>", "running", "javascript:'\"", [("<b>", "<i>")], [("<u>", [1.0])])
    for tag in ("<script>", "<b>", "<u>"):
        assert html.count(tag) == (1 if tag == "<b>" else 0)  # Our own title is bold.
    assert "'\"" not in html


def test_an_open_run_shows_its_metrics(ever: Everloop) -> None:
    with el.run("trial", "first", {"rate": 0.1}, platform=ever) as run:
        for value in (3.0, 2.0, 1.0):
            run.log_metric("loss", value)
            run.flush()
        html = run._repr_html_()
    assert all(text in html for text in ("first", "running", "rate", "0.1", "loss", "<td>1</td>", "polyline"))


def test_runs_of_a_search_are_a_table_and_other_lists_are_not(ever: Everloop) -> None:
    with el.run("trial", "first", platform=ever) as run:
        run.log_metric("loss", 0.5)
    html = show.of_runs(ever.runs.search("trial"))
    assert html is not None
    assert "<td>0.5</td>" in html
    assert show.of_runs([1, 2]) is None
    assert show.of_runs([]) is None
    assert "first" in show.of_run(ever.runs.get(run.id))


def test_a_small_line_spans_the_largest_numbers() -> None:
    points = ElementTree.fromstring(show.sparkline([1e308, -1e308]))[0].attrib["points"].split()
    assert [float(point.split(",")[1]) for point in points] == [1.0, 23.0]
