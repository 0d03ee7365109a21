"""How pages write values, where URNs lead, and the Markdown of model cards."""

from __future__ import annotations

import doctest
from datetime import timedelta
from html.parser import HTMLParser
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everloop.loop.entities import BetterThan, Every
from everloop.server.pages import charts, links, markdown, words
from everloop.server.pages.words import declared, digest, duration, number, plain, size, state


@pytest.mark.parametrize("module", [charts, links, markdown, words])
def test_the_examples_in_docstrings_are_true(module: ModuleType) -> None:
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (2013, "2013"),
        (10_000, "10,000"),
        (-336_776.0, "-336,776"),
        (0.000123456, "0.0001235"),
        (float("inf"), "inf"),
        (float("nan"), "nan"),
        (None, "–"),
    ],
)
def test_numbers_are_written_to_be_read(value: float | None, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 bytes"), (999, "999 bytes"), (1_500, "1.5 kB"), (2_000_000_000_000_000, "2000.0 TB")]
)
def test_sizes_are_written_in_the_largest_unit_that_fits(count: int, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (timedelta(0), "0 ms"),
        (timedelta(milliseconds=20), "20 ms"),
        (1.5, "1.5 s"),
        (timedelta(days=45), "45 d"),
        (timedelta(days=1, hours=12, minutes=3), "1 d 12 h"),
        (None, ""),
    ],
)
def test_spans_are_written_in_their_two_largest_units(span: timedelta | float | None, text: str) -> None:
    assert duration(span) == text


def test_a_declaration_reads_as_a_sentence() -> None:
    assert declared(BetterThan()) == "better than: alias champion, metric roc_auc, alpha 0.05"
    assert declared(Every(period=timedelta(days=45))) == "every: period 45 d"


def test_any_value_is_written_in_a_line() -> None:
    assert plain({"a": [1, None], "b": {"c": True}}) == "a 1, –, b c yes"


def test_states_and_digests_are_escaped() -> None:
    assert "<b>" not in state("<b>")
    assert '"' not in digest('"' * 20).partition('title="')[2].partition('">')[0]


@pytest.mark.parametrize(
    ("urn", "page"),
    [
        ("dataset:p/flights@2", "/datasets/flights?version=2"),
        ("dataset:p/flights", "/datasets/flights"),
        ("model:p/delay@3", "/models/delay/versions/3"),
        ("model:p/delay", "/models/delay"),
        ("run:p/0a1b", "/runs/0a1b"),
        ("prediction:p/delay@0a-1", "/endpoints/delay/predictions/0a-1"),
        ("monitor:p/delay/drift", "/monitors/delay"),
        ("feature_view:p/weather@1", "/features/views/weather?version=1"),
        ("label:p/delay@f1", "/lineage?urn=label%3Ap%2Fdelay%40f1"),
        ("dataset:other/flights@2", "/lineage?urn=dataset%3Aother%2Fflights%402"),
        ("no urn", "/lineage?urn=no+urn"),
        ("run:p/../../x", "/runs/..%2F..%2Fx"),
    ],
)
def test_a_urn_leads_to_its_page(urn: str, page: str) -> None:
    assert links.place(urn, "p") == page


def test_a_card_is_read_as_headings_lists_tables_and_code() -> None:
    html = markdown.html("# Late\n\nIt is\n`simple`.\n\n- a **b**\n\n| x | y |\n| --- | --- |\n| 1 \\| 2 | 3 |")
    assert "<h2>Late</h2>" in html
    assert "<p>It is <code>simple</code>.</p>" in html
    assert "<ul><li>a <strong>b</strong></li></ul>" in html
    assert '<th scope="col">x</th>' in html
    assert "<td>1 | 2</td><td>3</td>" in html


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.add(tag)


@given(
    st.lists(st.sampled_from(["<script>", "&lt;b&gt;", "# ", "| ", "- ", "`", "**", "\n", "x", "<a href=", '"', "\\|"]))
)
def test_no_card_makes_any_other_element(parts: list[str]) -> None:
    tags = Tags()
    tags.feed(markdown.html("".join(parts)))
    headings = {f"h{level}" for level in range(2, 7)}
    assert tags.found <= headings | {
        "p",
        "ul",
        "li",
        "code",
        "strong",
        "div",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
    }
