"""Pictures of reports are SVG whose numbers can be checked."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everloop.datasets.quality.plots import FEWEST, HIGH, WIDE, bars, columns, histogram, percent, share_bar, spark

SHARES = (0.01, 0.04, 0.2, 0.25, 0.25, 0.2, 0.04, 0.01)
EVEN = (0.0, 1.0, 5.0, 25.0, 50.0, 75.0, 95.0, 99.0, 100.0)


def drawn(markup: str, tag: str) -> list[dict[str, str]]:
    """The attributes of the elements of a name; the markup is well-formed, or this fails."""
    return [dict(element.attrib) for element in ElementTree.fromstring(str(markup)).iter(tag)]


def number(text: str) -> float:
    return float(text.rstrip("%"))


class TestHistogram:
    def test_even_values_are_bars_of_one_height(self) -> None:
        heights = {number(bar["height"]) for bar in drawn(histogram(EVEN, SHARES), "rect")}
        assert heights == {HIGH}

    def test_the_outermost_hundredths_are_left_out(self) -> None:
        absurd = (-1e12, *EVEN[1:-1], 1e12)
        assert histogram(absurd, SHARES) == histogram(EVEN, SHARES)

    def test_a_bar_stands_where_its_values_lie(self) -> None:
        bars = drawn(histogram(EVEN, SHARES), "rect")
        assert [number(bar["x"]) for bar in bars][:2] == [0.0, pytest.approx(WIDE * 4 / 98, abs=0.01)]

    def test_the_denser_half_is_the_taller(self) -> None:
        left = (0.0, 1.0, 2.0, 3.0, 4.0, 54.0, 94.0, 99.0, 100.0)
        heights = [number(bar["height"]) for bar in drawn(histogram(left, SHARES), "rect")]
        assert heights[2] == max(heights)
        assert heights[3] < heights[2] / 10

    def test_a_line_marks_the_median_and_tells_it(self) -> None:
        picture = histogram(EVEN, SHARES)
        (line,) = drawn(picture, "line")
        assert number(line["x1"]) == WIDE / 2
        assert "half of the values are below 50" in picture

    @pytest.mark.parametrize("quantiles", [(5.0,) * 9, (0.0, *[5.0] * 7, 9.0), (0.0, 1.0)])
    def test_where_all_values_are_one_there_is_no_picture(self, quantiles: tuple[float, ...]) -> None:
        assert histogram(quantiles, SHARES[: len(quantiles) - 1]) == ""

    def test_a_value_that_many_rows_have_leaves_a_gap_and_no_error(self) -> None:
        peak = (0.0, 1.0, 5.0, 50.0, 50.0, 50.0, 95.0, 99.0, 100.0)
        assert len(drawn(histogram(peak, SHARES), "rect")) == 4

    @given(st.lists(st.floats(-1e300, 1e300), min_size=9, max_size=9).map(sorted))
    def test_no_bar_is_outside_its_place(self, quantiles: list[float]) -> None:
        picture = histogram(quantiles, SHARES)
        for bar in drawn(picture, "rect") if picture else []:
            assert 0 <= number(bar["x"]) <= WIDE
            assert 0 < number(bar["height"]) <= HIGH


class TestBars:
    def test_the_longest_fills_its_place(self) -> None:
        assert re.findall(r"width:([\d.]+)%", bars([("a", 0.5), ("b", 0.25)])) == ["100.0", "50.0"]

    def test_names_are_text_and_never_markup(self) -> None:
        assert "&lt;script&gt;" in bars([("<script>", 1.0)])

    def test_nothing_is_an_empty_list(self) -> None:
        assert bars([]) == '<ul class="bars"></ul>'
        assert "width:0.0%" in bars([("a", 0.0)])


class TestShareBar:
    @pytest.mark.parametrize(("share", "width"), [(0, "0.0"), (1e-9, "1.5"), (0.5, "50.0"), (1, "100.0"), (7, "100.0")])
    def test_anything_above_nothing_can_be_seen(self, share: float, width: str) -> None:
        assert f"width:{width}%" in share_bar(share, "bad", "so much")

    def test_what_it_tells_cannot_break_out(self) -> None:
        assert 'title="&#34;&gt;&lt;b&gt;"' in share_bar(0.5, "bad", '"><b>')


class TestHistory:
    def test_each_check_is_a_column(self) -> None:
        picture = columns([("1", 0.0, 0.0, "fine"), ("2", 0.5, 0.25, "half fail")])
        assert len(drawn(picture, "g")) == 2
        assert "<title>half fail</title>" in picture

    def test_failures_stand_on_the_ground_and_warnings_on_them(self) -> None:
        _, warn, bad = drawn(columns([("1", 0.5, 0.25, "")]), "rect")
        assert (number(bad["y"]), number(bad["height"])) == (36, 36)
        assert (number(warn["y"]), number(warn["height"])) == (18, 18)

    def test_few_columns_do_not_fill_the_width(self) -> None:
        whole, *_ = drawn(columns([("1", 0, 0, "")]), "rect")
        assert number(whole["width"]) == pytest.approx(72 / FEWEST)

    @pytest.mark.parametrize(("count", "labels"), [(1, 1), (12, 12), (13, 7), (240, 12)])
    def test_labels_leave_each_other_room(self, count: int, labels: int) -> None:
        points = [(str(n), 0.0, 0.0, "") for n in range(count)]
        assert len(drawn(columns(points), "text")) == labels

    @given(st.integers(1, 300))
    def test_the_last_column_is_inside(self, count: int) -> None:
        last = drawn(columns([("n", 1.0, 0.0, "")] * count), "rect")[-1]
        assert number(last["x"]) + number(last["width"]) <= 100.1


class TestSpark:
    @pytest.mark.parametrize("values", [[], [0.5], [0.0, 0.0, 0.0]])
    def test_there_is_none_without_anything_to_follow(self, values: list[float]) -> None:
        assert spark(values) == ""

    def test_it_goes_from_the_first_check_to_the_last(self) -> None:
        picture = spark([0.0, 0.5, 0.25])
        assert 'd="M2.0,16.0 L50.0,2.0 L98.0,9.0"' in picture
        assert "0\u00a0% at first, 25\u00a0% now, 50\u00a0% at most" in picture


class TestPercent:
    @pytest.mark.parametrize(
        ("share", "told"),
        [
            *((0, "0"), (1, "100"), (0.5, "50"), (0.12345, "12.3"), (0.0001, "0.01"), (0.00009, "<0.01")),
            *((0.99995, ">99.99"), (0.9999, "99.99"), (0.9996, "99.96"), (0.998, "99.8"), (1.5, "150")),
        ],
    )
    def test_a_share_has_three_digits(self, share: float, told: str) -> None:
        assert percent(share) == f"{told}\u00a0%"

    @given(st.floats(0, 1, exclude_min=True, exclude_max=True))
    def test_what_is_hardly_anything_is_not_told_as_nothing(self, share: float) -> None:
        assert percent(share) != percent(0)

    @given(st.floats(0, 1, exclude_max=True))
    def test_what_is_nearly_all_is_not_told_as_all(self, share: float) -> None:
        assert percent(share) != percent(1)
