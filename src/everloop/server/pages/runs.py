"""The list of runs: filtered, ordered, grouped, with the columns that one chooses; all of that is in its address."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from urllib.parse import urlencode

import msgspec

from everloop.governance.roles import allows
from everloop.kernel.errors import InvalidInput
from everloop.server.pages.plots import SYSTEM
from everloop.server.pages.site import Page, Visit
from everloop.server.pages.words import duration, moment, number
from everloop.tracking.entities import Experiment, Run
from everloop.tracking.index.entities import RunPage
from everloop.tracking.index.expressions import Kind
from everloop.tracking.search import parse_field

LIMIT = 100
CHOSEN = 6
"""So many metrics and parameters are columns where nobody chooses."""
OFFERED = 200
DEEPEST = 4
ATTRIBUTES = ("duration", "user", "group", "parent", "revision", "branch", "ended")
"""What else of a run can be a column."""
_SPELLED: Mapping[Kind, str] = {"metric": "metrics", "parameter": "parameters", "tag": "tags"}
_FLOAT = re.compile(r"-?\d+\.\d+(e[+-]?\d+)?")
_DIGITS = 9
_DELETED = "deleted is not null"
_PLAIN = re.compile(r"[A-Za-z_][\w/-]*")


class Asked(msgspec.Struct, frozen=True):
    """What the address asks for; `show` are columns, `group` the one by whose values the rows stand together.

    With `deleted` it is about runs that are out of sight.
    """

    experiment: str = ""
    where: str = ""
    order: str = ""
    group: str = ""
    show: tuple[str, ...] = ()
    after: str = ""
    deleted: str = ""

    @property
    def condition(self) -> str:
        """The filter as the use cases take it."""
        if not self.deleted:
            return self.where
        return f"({self.where}) and {_DELETED}" if self.where else _DELETED

    def address(self, **changes: object) -> str:
        """The address of the same list with some of it changed."""
        told = msgspec.structs.asdict(self) | changes
        query = urlencode({name: value for name, value in told.items() if value}, doseq=True)
        return f"/runs?{query}" if query else "/runs"


class Column(msgspec.Struct, frozen=True):
    """A column: what it is called, the field as filters spell it, and where a click on it leads."""

    name: str
    field: str
    kind: Kind
    key: str
    href: str = ""
    sort: str = ""


class Cell(msgspec.Struct, frozen=True):
    """A value as it is shown; `whole` is all of it where that is longer."""

    text: str
    whole: str = ""
    is_number: bool = False
    is_best: bool = False


class Row(msgspec.Struct, frozen=True):
    """A run in the list; `heading` opens a group, `depth` and `parts` say how it stands among its relatives."""

    run: Run
    cells: Sequence[Cell]
    heading: str | None = None
    depth: int = 0
    parts: int = 0


class RunsPage(msgspec.Struct, frozen=True):
    """Runs of an experiment, or of all, that meet a filter."""

    experiments: Sequence[Experiment]
    asked: Asked
    columns: Sequence[Column]
    fixed: Mapping[str, Column]
    offered: Sequence[Column]
    rows: Sequence[Row]
    total: int
    next: str
    first: str
    problem: str
    hint: str
    may_write: bool


def runs(visit: Visit) -> Page:
    """The list of runs; `experiment`, `where` and `order` as the use case has them."""
    names = ("experiment", "where", "order", "group", "after", "deleted")
    asked = Asked(**{name: visit.query.get(name, "") for name in names}, show=tuple(visit.each("show")))
    problem = hint = ""
    found, columns = RunPage([], 0), list[Column]()
    try:
        order = ", ".join(text for text in (asked.group, asked.order) if text)
        given = {"experiment": asked.experiment, "where": asked.condition, "after": asked.after}
        found = visit.ask("runs.page", **given, order=order, limit=LIMIT)
        columns = [_column(asked, field) for field in asked.show or _usual(found.runs)]
    except InvalidInput as error:
        problem, hint = error.message, error.hint
    it = RunsPage(
        experiments=visit.ask("experiments.list"),
        asked=asked,
        columns=columns,
        fixed={name: _column(asked, name) for name in ("name", "experiment", "status", "started")},
        offered=_offered(asked, found.runs, columns),
        rows=list(_rows(found.runs, columns, asked, visit)),
        total=found.total,
        next=asked.address(after=found.cursor) if found.cursor else "",
        first=asked.address(after="") if asked.after else "",
        problem=problem,
        hint=hint,
        may_write=allows(visit.principal.roles, "tracking:write"),
    )
    return Page("runs.html", "Deleted runs" if asked.deleted else "Runs", it, status=400 if problem else 200)


def field_of(kind: Kind, key: str) -> str:
    """A field as filters spell it.

    >>> field_of("metric", "val loss")
    'metrics.`val loss`'
    """
    told = key if _PLAIN.fullmatch(key) else f'"{key}"' if "`" in key else f"`{key}`"
    return f"{_SPELLED[kind]}.{told}" if kind in _SPELLED else told


def _column(asked: Asked, field: str) -> Column:
    kind, key = parse_field(field)
    spelled = field_of(kind, key)
    down, up = f"{spelled} desc", spelled
    now = "descending" if asked.order == down else "ascending" if asked.order == up else ""
    largest_first = kind == "metric" or key in ("started", "ended", "duration")
    following = (up if now == "descending" else down) if now or largest_first else up
    return Column(key, spelled, kind, key, asked.address(order=following, after=""), now)


def _usual(runs: Sequence[Run]) -> list[str]:
    """The metrics that most runs have (plain names before those of slices), and the parameters in which they differ."""
    counts: dict[str, int] = {}
    values: dict[str, set[str]] = {}
    for run in runs:
        for key in run.metrics:
            counts[key] = counts.get(key, 0) + 1
        for key, value in run.parameters.items():
            values.setdefault(key, set()).add(value)
    logged = [key for key in counts if not key.startswith(SYSTEM)]
    ranked = sorted(logged, key=lambda key: ("[" in key, -counts[key], key))
    differing = sorted(key for key, held in values.items() if len(held) > 1 or len(runs) == 1)
    metrics = [field_of("metric", key) for key in sorted(ranked[:CHOSEN])]
    return metrics + [field_of("parameter", key) for key in differing[:CHOSEN]]


def _offered(asked: Asked, runs: Sequence[Run], columns: Sequence[Column]) -> list[Column]:
    """The columns that one can choose: those that are shown, and what the runs of this page have."""
    known = {column.field: column for column in columns}
    for kind, held in (("metric", "metrics"), ("parameter", "parameters"), ("tag", "tags")):
        keys = sorted({key for run in runs for key in getattr(run, held)})
        for key in keys[:OFFERED]:
            field = field_of(kind, key)  # type: ignore[arg-type]  # mypy takes the tuple's texts for any
            known.setdefault(field, Column(key, field, kind, key))  # type: ignore[arg-type]
    for name in ATTRIBUTES:
        known.setdefault(name, _column(asked, name))
    return sorted(known.values(), key=lambda column: (column.kind, column.key))


def _rows(runs: Sequence[Run], columns: Sequence[Column], asked: Asked, visit: Visit) -> list[Row]:
    best = {column.key: _best(runs, column.key) for column in columns if column.kind == "metric"}
    rows, before = [], None
    group = _column(asked, asked.group) if asked.group and runs else None
    together = [(run, 0, 0) for run in runs] if group or asked.order else _families(runs)
    for run, depth, parts in together:
        heading = None
        if group is not None:
            told = _cell(run, group, {}, visit.now).text or "none"
            heading, before = (told if told != before else None), told
        cells = [_cell(run, column, best, visit.now) for column in columns]
        rows.append(Row(run, cells, heading, depth, parts))
    return rows


def _families(runs: Sequence[Run]) -> list[tuple[Run, int, int]]:
    """Runs with those that are part of them behind them, how deep each stands, and how many are below it."""
    here = {run.id for run in runs}
    parts: dict[str, list[Run]] = {}
    for run in runs:
        parts.setdefault(run.parent if run.parent in here else "", []).append(run)
    found: list[tuple[Run, int, int]] = []
    waiting = [(run, 0) for run in reversed(parts.get("", []))]
    while waiting:
        run, depth = waiting.pop()
        below = parts.get(run.id, [])
        found.append((run, min(depth, DEEPEST), len(below)))
        waiting += [(part, depth + 1) for part in reversed(below)]
    return found


def _cell(run: Run, column: Column, best: Mapping[str, float | None], now: datetime) -> Cell:
    if column.kind == "metric":
        value = run.metrics.get(column.key)
        is_best = value is not None and value == best.get(column.key)
        return Cell(number(value) if column.key in run.metrics else "", is_number=True, is_best=is_best)
    if column.kind in ("parameter", "tag"):
        held = run.parameters if column.kind == "parameter" else run.tags
        return _spelled(held.get(column.key, ""))
    if column.key == "duration":
        return Cell(duration((run.ended or max(now, run.started)) - run.started), is_number=True)
    if column.key in ("revision", "branch"):
        return Cell(str(getattr(run.code, column.key))[:12])
    attribute: object = getattr(run, column.key, "")
    return Cell(moment(attribute) if isinstance(attribute, datetime) else str(attribute or ""))


def _spelled(text: str) -> Cell:
    """A text; a number with more digits than one reads is cut to those that one does."""
    if len(text) <= _DIGITS or not _FLOAT.fullmatch(text):
        return Cell(text)
    return Cell(number(float(text)), text)


def _best(runs: Sequence[Run], key: str) -> float | None:
    """The best value of a metric, where more than one run has it; of losses and errors less is better.

    Of an objective nobody knows here which way is better; the page of its sweep does.
    """
    if key.startswith("objective"):
        return None
    values = [value for run in runs if (value := run.metrics.get(key)) is not None]
    if len(set(values)) < 2:
        return None
    return min(values) if any(word in key for word in ("loss", "error", "brier")) else max(values)
