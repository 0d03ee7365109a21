"""Reports of checks as pages of their own: Markdown for pull requests, HTML with plots for everybody.

The HTML needs nothing from outside and runs no script; everything that comes from data is escaped. In Markdown it is
escaped too, so that a value cannot become a link, a table or HTML.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec
from sqlalchemy import select

from everloop.catalog.session import Session
from everloop.datasets.content import profile_of, read_table, snapshot_of
from everloop.datasets.entities import QUANTILES, ColumnProfile, Profile, Snapshot
from everloop.datasets.quality import plots
from everloop.datasets.quality.entities import CheckReport, CheckResult
from everloop.datasets.quality.tables import checks
from everloop.datasets.quality.words import sentence_of
from everloop.datasets.text import texts
from everloop.kernel.errors import EverloopError, NotFound

if TYPE_CHECKING:
    import jinja2

PAST = 30
"""So many earlier checks the history shows."""
ROWS, COLUMNS = 20, 12
"""So many failing rows are shown whole, with so many columns."""
OFTEN = 0.001
"""The most frequent values of a column are drawn when the first of them has so large a share of the rows."""
LONGEST = 200
"""So many characters of a value are shown."""
_SHARES = tuple(high - low for low, high in pairwise(QUANTILES))
_MOMENT = re.compile(r"^(\d{4}-\d{2}-\d{2})T(\d{2}:\d{2}:\d{2})(?:\.0+)?Z?$")
"""A time without fractions, which is told as people write it."""
_MARKED = re.compile(r"([\\`*_{}\[\]()#+!|<>~&@$-])")


class Judged(msgspec.Struct, frozen=True):
    """An expectation as the report tells it; `past` has the shares of rows that failed it, the newest last."""

    what: str
    state: Literal["passed", "failed", "warned"]
    failures: int
    rows: int
    sample: tuple[str, ...]
    observed: str
    past: tuple[float, ...]

    @property
    def share(self) -> float:
        """The share of the judged rows that fail."""
        return self.failures / self.rows if self.rows else float(self.state != "passed")


class FailingRow(msgspec.Struct, frozen=True):
    """A row that fails: where it stands (from 0), its values, and which of them (by position) an expectation names."""

    at: int
    values: tuple[str, ...]
    why: str


class Report(msgspec.Struct, frozen=True):
    """Everything that a report tells."""

    snapshot: Snapshot
    number: int
    report: CheckReport
    judged: tuple[Judged, ...]
    past: tuple[CheckReport, ...]
    profile: Profile
    columns: tuple[str, ...]
    rows: tuple[FailingRow, ...]

    @property
    def failed(self) -> int:
        """How many expectations fail."""
        return sum(one.state == "failed" for one in self.judged)

    @property
    def warned(self) -> int:
        """How many expectations warn."""
        return sum(one.state == "warned" for one in self.judged)


def written(session: Session, name: str, number: int, format: Literal["markdown", "html"]) -> str:
    """A report in a format; number 0 is the newest.

    Raises:
        NotFound: the dataset was not checked yet, or not as often.
    """
    found = gathered(session, name, number)
    return html(found) if format == "html" else markdown(found)


def gathered(session: Session, name: str, number: int = 0) -> Report:
    """What a report tells, out of the catalog and, for the rows that fail, the store."""
    with session.begin(write=False) as unit:
        here = (checks.c.project == unit.project) & (checks.c.dataset == snapshot_of(unit, name).dataset)
        query = select(checks.c.number).where(here & (checks.c.number == number if number else True))
        numbers = unit.scalars(query.order_by(checks.c.number.desc()).limit(1))
        if not numbers:
            raise NotFound(
                f"{name} has no report {number}." if number else f"{name} was not checked yet.",
                hint=f"Check it: everloop datasets check {name}.",
            )
        until = select(checks).where(here & (checks.c.number <= numbers[0]))
        past = unit.all(CheckReport, until.order_by(checks.c.number.desc()).limit(PAST))
        snapshot = snapshot_of(unit, name, past[0].version)
    profile = profile_of(session, snapshot) if snapshot.kind == "table" else Profile(0, ())
    return _told(session, snapshot, int(numbers[0]), past, profile)


def _told(session: Session, snapshot: Snapshot, number: int, past: Sequence[CheckReport], profile: Profile) -> Report:
    newest = past[0]
    order = {"failed": 0, "warned": 1, "passed": 2}
    judged = sorted((_judged(one, past) for one in newest.results), key=lambda one: (order[one.state], -one.share))
    columns = tuple(column.name for column in snapshot.columns)
    rows = _failing(session, snapshot, newest, columns[:COLUMNS])
    return Report(snapshot, number, newest, tuple(judged), tuple(reversed(past)), profile, columns[:COLUMNS], rows)


def _judged(result: CheckResult, past: Sequence[CheckReport]) -> Judged:
    same = [one for report in past for one in report.results if one.expectation == result.expectation]
    shares = tuple(one.failures / one.rows if one.rows else float(not one.passed) for one in reversed(same))
    mild = "warned" if result.expectation.severity == "warning" else "failed"
    sample = tuple(_cut(value) for value in result.sample)
    return Judged(
        _cut(sentence_of(result.expectation), 600),
        "passed" if result.passed else mild,  # type: ignore[arg-type]  # One of two literals.
        result.failures,
        result.rows,
        sample,
        "" if result.observed.endswith("% fail") else _cut(result.observed),
        shares,
    )


def _failing(
    session: Session, snapshot: Snapshot, report: CheckReport, columns: Sequence[str]
) -> tuple[FailingRow, ...]:
    why: dict[int, list[str]] = {}
    for result in report.results:
        for place in () if result.passed else result.at:
            why.setdefault(place, []).append(sentence_of(result.expectation))
    places = sorted(place for place in why if place < snapshot.rows)[:ROWS]
    if not places:
        return ()
    try:
        taken = read_table(session, snapshot, columns).take(places)
    except EverloopError:
        return ()  # The bytes are gone, or it is no table: the report stands without the rows.
    values = zip(*([_cut(value) for value in texts(column)] for column in taken.columns), strict=True)
    return tuple(
        FailingRow(place, row, _cut("; ".join(why[place]), 400)) for place, row in zip(places, values, strict=True)
    )


def html(report: Report) -> str:
    """The report as one HTML file."""
    history = [
        (f"v{one.version}", *_shares(one), f"Version {one.version}, {one.at:%Y-%m-%d %H:%M}: {_counted(one)}")
        for one in report.past
    ]
    cards = [(column, _picture(column, report.profile.rows), _facts(column)) for column in report.profile.columns]
    return _template().render(it=report, history=plots.columns(history), cards=cards, plots=plots)


def markdown(report: Report) -> str:
    """The report in Markdown, what failed first and what passed folded away."""
    of, name = report.report, f"{report.snapshot.dataset}@{report.snapshot.version}"
    verdict = "passed" if of.passed else "**failed**"
    lines = [
        f"### Checks of `{name}`: {verdict}",
        "",
        f"{_counted(of)} on {report.snapshot.rows:,} rows, {of.at:%Y-%m-%d %H:%M} UTC (report {report.number}).",
    ]
    found = [one for one in report.judged if one.state != "passed"]
    if found:
        lines += ["", "| | expectation | rows that fail | of | such as |", "|---|---|---:|---:|---|"]
        lines += [_line(one) for one in found]
    passed = [one for one in report.judged if one.state == "passed"]
    if passed:
        lines += ["", "<details>", f"<summary>{len(passed)} passed</summary>", ""]
        lines += [f"- {_plain(one.what)}" for one in passed]
        lines += ["", "</details>"]
    return "\n".join([*lines, ""])


def _line(one: Judged) -> str:
    mark = "❌" if one.state == "failed" else "⚠️"
    such = ", ".join(_plain(value) for value in one.sample[:3]) or _plain(one.observed)
    return f"| {mark} | {_plain(one.what)} | {one.failures:,} ({plots.percent(one.share)}) | {one.rows:,} | {such} |"


def _counted(report: CheckReport) -> str:
    failed, warned = _marks(report)
    return f"{failed} of {len(report.results)} expectations failed, {warned} warned"


def _marks(report: CheckReport) -> tuple[int, int]:
    bad = [one for one in report.results if not one.passed]
    failed = sum(one.expectation.severity == "error" for one in bad)
    return failed, len(bad) - failed


def _shares(report: CheckReport) -> tuple[float, float]:
    failed, warned = _marks(report)
    whole = max(len(report.results), 1)
    return failed / whole, warned / whole


def _picture(column: ColumnProfile, rows: int) -> object:
    if len(column.quantiles) == len(QUANTILES):
        drawn = plots.histogram(column.quantiles, _SHARES)
        if drawn:
            return drawn
    shown = [(_cut(value, 60) or "(empty)", count / max(rows, 1)) for value, count in column.top[:5]]
    return plots.bars(shown) if shown and shown[0][1] >= OFTEN else ""


def _facts(column: ColumnProfile) -> str:
    low, high = (_cut(_value(end), 40) for end in (column.minimum, column.maximum))
    span = f"{low} to {high}" if low or high else ""
    mean = f"mean {column.mean:.5g}" if column.mean is not None else ""
    return " · ".join(part for part in (f"{column.distinct:,} different", span, mean) if part)


def _value(value: float | str | None) -> str:
    if value is None:
        return ""
    return _MOMENT.sub(r"\1 \2", value) if isinstance(value, str) else f"{value:,.6g}"


def _cut(text: str, longest: int = LONGEST) -> str:
    return text if len(text) <= longest else f"{text[:longest]}…"


def _plain(text: str) -> str:
    """A text as Markdown that means just that text, on one line."""
    return _MARKED.sub(r"\\\1", " ".join(text.split())).replace("\\<", "&lt;").replace("\\>", "&gt;")


@cache
def _template() -> jinja2.Template:
    import jinja2

    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    return made.get_template("report.html")
