"""Reports tell what was found, as Markdown and as a page, and nothing in the data becomes more than text."""

from __future__ import annotations

import re
from html import unescape
from html.parser import HTMLParser
from itertools import pairwise

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from everloop.app.platform import Platform
from everloop.datasets.content import commit_table
from everloop.datasets.entities import QUANTILES, Change, Snapshot
from everloop.datasets.quality import plots
from everloop.datasets.quality.expectations import Expectation, InRange, NotNull, OneOf, RowCount, Unique
from everloop.datasets.quality.report import Report, gathered, html, markdown
from everloop.datasets.quality.suitefile import kinds
from everloop.datasets.quality.words import sentence_of
from everloop.kernel.errors import NotFound

EVIL = "</td><script>alert(1)</script><img src=x onerror=alert(2)>|`*[a](javascript:b)"
SUITE: tuple[Expectation, ...] = (
    NotNull("flight"),
    Unique(("flight",)),
    InRange("dep_delay", -60, 500, severity="warning"),
)


def checked(platform: Platform, *expectations: Expectation, name: str = "flights") -> None:
    platform.call("datasets.expect", {"name": name, "expectations": expectations})
    platform.call("datasets.check", {"name": name})


def report_of(platform: Platform, number: int = 0) -> Report:
    return gathered(platform.session(), "flights", number)


class Outline(HTMLParser):
    """The elements of a page, and whether each that was opened is closed."""

    VOID = ("meta", "rect", "line", "path", "br")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[str] = []
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [f"{name}={value}" for name, value in attrs]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


class TestWhatItTells:
    def test_what_failed_comes_first_then_what_warned(self, platform: Platform, flights: Snapshot) -> None:
        checked(platform, *SUITE)
        assert [(one.state, one.failures) for one in report_of(platform).judged] == [
            ("failed", 1),
            ("warned", 1),
            ("passed", 0),
        ]

    def test_rows_that_fail_are_shown_whole_with_the_reason(self, platform: Platform, flights: Snapshot) -> None:
        checked(platform, *SUITE)
        (absurd, twin) = report_of(platform).rows
        assert (absurd.at, absurd.values[0], absurd.why) == (2, "3", "dep_delay is from -60 to 500")
        assert (twin.at, twin.why) == (4, "no two rows agree in flight")

    def test_earlier_checks_are_its_history(self, platform: Platform, flights: Snapshot) -> None:
        checked(platform, *SUITE)
        checked(platform, *SUITE, RowCount(1))
        report = report_of(platform)
        assert (report.number, len(report.past)) == (2, 2)
        assert report.judged[0].past == (0.2, 0.2)

    def test_an_earlier_report_can_be_asked_for(self, platform: Platform, flights: Snapshot) -> None:
        checked(platform, *SUITE)
        checked(platform, RowCount(1))
        assert report_of(platform, 1).failed == 1
        assert report_of(platform).failed == 0

    def test_what_was_never_checked_has_none(self, platform: Platform, flights: Snapshot) -> None:
        with pytest.raises(NotFound, match="flights was not checked yet"):
            report_of(platform)


class TestMarkdown:
    def test_it_says_the_verdict_and_folds_away_what_passed(self, platform: Platform, flights: Snapshot) -> None:
        checked(platform, *SUITE)
        text = markdown(report_of(platform))
        assert text.startswith("### Checks of `flights@1`: **failed**\n")
        assert "| ❌ | no two rows agree in flight | 1 (20\u00a0%) | 5 | 4 |" in text
        assert "<summary>1 passed</summary>" in text

    def test_a_value_is_nothing_but_text(self, platform: Platform) -> None:
        found = OneOf(EVIL, ("a",))
        commit_table(platform.session(), "flights", pa.table({EVIL: [EVIL]}), Change())
        checked(platform, found)
        line = next(line for line in markdown(report_of(platform)).splitlines() if line.startswith("| ❌"))
        assert "<" not in line
        assert len(re.findall(r"(?<!\\)\|", line)) == 6
        assert r"\[a\]\(javascript:b\)" in line


class TestThePage:
    def test_it_needs_nothing_from_outside_and_runs_nothing(self, platform: Platform, flights: Snapshot) -> None:
        checked(platform, *SUITE)
        outline = Outline(html(report_of(platform)))
        assert outline.open == []
        assert not {"script", "link", "img", "iframe", "a"} & set(outline.tags)
        assert not [one for one in outline.attributes if one.startswith(("src", "href", "on"))]

    def test_hostile_names_and_values_are_text(self, platform: Platform) -> None:
        commit_table(platform.session(), "flights", pa.table({EVIL: [EVIL, "b"]}), Change(note=EVIL))
        checked(platform, OneOf(EVIL, ("b",)))
        text = html(report_of(platform))
        assert "<script>alert" not in text
        assert EVIL in unescape(text)
        assert Outline(text).open == []

    def test_each_column_has_a_picture_or_its_values(self, platform: Platform, flights: Snapshot) -> None:
        checked(platform, *SUITE)
        text = html(report_of(platform))
        assert text.count('class="histogram"') == 2
        assert "EWR" in text

    def test_an_empty_table_has_a_report_too(self, platform: Platform) -> None:
        commit_table(platform.session(), "flights", pa.table({"x": pa.array([], pa.int64())}), Change())
        checked(platform, NotNull("x"), RowCount(1))
        assert "Failed" in html(report_of(platform))
        assert "row" in markdown(report_of(platform))


SHARES = [high - low for low, high in pairwise(QUANTILES)]


class TestPlots:
    @given(st.lists(st.floats(-1e12, 1e12), min_size=9, max_size=9).map(sorted))
    def test_a_histogram_stays_in_its_frame(self, quantiles: list[float]) -> None:
        drawn = plots.histogram(quantiles, SHARES)
        for x, y, width, height in re.findall(r'x="([\d.]+)" y="(.+?)" width="(.+?)" height="(.+?)"', drawn):
            assert 0 <= float(x) <= plots.WIDE
            assert float(y) >= -0.01
            assert float(x) + float(width) <= plots.WIDE + 1
            assert float(y) + float(height) <= plots.HIGH + 1

    def test_a_constant_has_no_histogram(self) -> None:
        assert plots.histogram([5.0] * 9, SHARES) == ""

    def test_what_hardly_fails_can_be_seen(self) -> None:
        assert "width:1.5%" in plots.share_bar(1e-9, "failed", "")
        assert "width:0.0%" in plots.share_bar(0, "failed", "")

    def test_one_check_is_no_history(self) -> None:
        assert plots.spark([0.5]) == ""
        assert "<path" in plots.spark([0.0, 0.5])


@pytest.mark.parametrize("name", sorted(kinds()))
def test_every_kind_has_a_sentence_of_its_own(name: str) -> None:
    kind = kinds()[name]
    given = {"column": "x", "columns": ("x",), "values": (1,), "pattern": "a", "dataset": "d", "keys": ("k",)}
    given |= {"types": {"x": "int64"}, "left": "x", "operator": "<", "right": "y", "sql": "s", "quantile": 0.5}
    given |= {"within": "1d", "metric": "rows"}
    fields = {field: given[field] for field in kind.__struct_fields__ if field in given}
    told = sentence_of(kind(**fields))  # type: ignore[arg-type]
    assert told
    assert not told.startswith(f"{name.replace('_', ' ')} (")
