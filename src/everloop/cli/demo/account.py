"""The account of the year: what came out, as data and as a page of text. No figure of it is written into the code."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from textwrap import shorten
from typing import Literal

import msgspec

Policy = Literal["never", "loop"]


class Month(msgspec.Struct, frozen=True):
    """How a policy fared on the labelled flights of a calendar month (New York's)."""

    month: int
    policy: Policy
    n: int
    roc_auc: float
    log_loss: float
    calibration_error: float


class Promotion(msgspec.Struct, frozen=True):
    """A version that became the champion; `units` is how many predictions its rollout took."""

    version: int
    at: datetime
    trigger: str
    reason: str
    units: int


class Stopped(msgspec.Struct, frozen=True):
    """A candidate that did not make it: the gate or guard that stopped it, and how many units had met it by then."""

    version: int
    at: datetime
    trigger: str
    planted: bool
    stopped_by: str
    reason: str
    units: int


class Refusal(msgspec.Struct, frozen=True):
    """A delivery that the checks did not let in, and why."""

    delivery: str
    reason: str


class SetAside(msgspec.Struct, frozen=True):
    """Rows of a dataset that its checks set aside, and what is expected that they fail."""

    dataset: str
    rows: int
    reasons: str


class Taken(msgspec.Struct, frozen=True):
    """A version of the flights: what came in with it, all rows that it has, and the bytes that it added."""

    version: int
    note: str
    rows: int
    added_bytes: int


class Correction(msgspec.Struct, frozen=True):
    """A merge of a branch: the versions that met in it, the rows and cells that differ from the first version."""

    dataset: str
    version: int
    merged: tuple[int, ...]
    rows: int
    changed_rows: int
    changed_cells: int


class SubjectFound(msgspec.Struct, frozen=True):
    """Where a plane is: the rows of the newest flights, all versions that have any, and the models made of those."""

    tailnum: str
    rows: int
    versions: int
    models: int


class Copy(msgspec.Struct, frozen=True):
    """What a remote holds after a push, and which datasets a second home that pulled from it has byte by byte."""

    objects: int
    bytes: int
    equal: dict[str, bool]


class Keeping(msgspec.Struct, frozen=True):
    """How the store stands: what all versions would take one by one, what they take, what is dead, what is broken."""

    versions: int
    logical_bytes: int
    objects: int
    bytes: int
    dead_objects: int
    dead_bytes: int
    whole: bool


class DataAccount(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the data."""

    received: int
    received_bytes: int
    refused: list[Refusal]
    quarantined: list[SetAside]
    suites: int
    expectations: int
    taken: list[Taken]
    correction: Correction
    splits: int
    splits_proved: int
    tagged: str
    subject: SubjectFound
    copy: Copy
    keeping: Keeping


class Packed(msgspec.Struct, frozen=True):
    """The champion as a package: what form it has, how large it is, and whether it predicted what the registry does."""

    form: str
    digest: str
    size: int
    verified: bool


class Compiled(msgspec.Struct, frozen=True):
    """What was proven of the champion's compiled form: of `rows`, `off` are not equal to the last bit.

    Times are µs for one row, before and after.
    """

    engine: str
    rows: int
    off: int
    native_us: float
    compiled_us: float


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """What `everloop demo --json` ends with."""

    predictions: int
    labels: int
    retrains: int
    promoted: list[Promotion]
    stopped_candidates: list[Stopped]
    rollbacks: int
    alarms: int
    monthly: list[Month]
    data: DataAccount
    skew_compared: int
    skew_differing: int
    memo_hits: int
    memo_executed: int
    compiled: Compiled
    packed: Packed
    trace: str
    reproduced: bool
    reproduction: list[str]
    audit_verified: bool
    audit_entries: int
    seconds: float
    peak_memory_mb: float
    home: str


def rendered(account: Account) -> str:
    """The account as a page of text."""
    parts = [
        "\nBy month, on the flights whose delay is known: never retrained against the loop",
        _table(_MONTH_HEAD, _month_rows(account.monthly)),
        f"\n{account.predictions:,} predictions, {account.labels:,} labels, {account.retrains} retrains, "
        f"{len(account.promoted)} promotions, {account.rollbacks} rollbacks, {account.alarms} alarms",
        *(_promotion(promotion) for promotion in account.promoted),
        *(_stopped(stopped) for stopped in account.stopped_candidates),
        "\nThe data",
        *(f"  {line}" for line in _data(account.data)),
        f"\nOnline against offline: {account.skew_differing} of {account.skew_compared:,} feature values differ",
        f"The pipeline run again: {account.memo_hits} steps from the memo, {account.memo_executed} executed",
        _told_compiled(account.compiled),
        f"The champion packed as {account.packed.form}: {account.packed.size / 1e3:,.0f} kB, "
        f"{'predicts as the registry does' if account.packed.verified else 'DOES NOT PREDICT THE SAME'}",
        "\neverloop trace of one prediction",
        _indented(account.trace),
        f"\neverloop reproduce of the champion: {'every hash equal' if account.reproduced else 'NOT EQUAL'}",
        *(f"  {line}" for line in account.reproduction),
        f"\neverloop audit verify: {account.audit_entries:,} entries, "
        f"{'the chain is intact' if account.audit_verified else 'TAMPERED WITH'}",
        f"\n{account.seconds:.0f} s, {account.peak_memory_mb:,.0f} MB of memory at most, all processes together",
        f"Look at it: everloop up --home {account.home}",
    ]
    return "\n".join(parts)


def _told_compiled(compiled: Compiled) -> str:
    if compiled.engine == "native":
        return "The champion runs in its own library: it has no compiled form that is faster"
    return (
        f"The champion runs compiled: {compiled.compiled_us:.1f} µs for one row, {compiled.native_us:.1f} µs before; "
        f"{compiled.off} of {compiled.rows:,} rows off, those on every threshold among them"
    )


_MONTH_HEAD = ("month", "flights", "ROC AUC", "", "log loss", "", "calibration error", "")


def _month_rows(months: Sequence[Month]) -> list[tuple[str, ...]]:
    of = {(month.policy, month.month): month for month in months}
    rows: list[tuple[str, ...]] = [("", "", "never", "loop", "never", "loop", "never", "loop")]
    for number in sorted({month.month for month in months}):
        never, loop = of.get(("never", number)), of.get(("loop", number))
        if never is None or loop is None:
            continue
        figures = [f"{value:.3f}" for name in _FIGURES for value in (getattr(never, name), getattr(loop, name))]
        rows.append((datetime(2013, number, 1).strftime("%B"), f"{loop.n:,}", *figures))  # noqa: DTZ001 - a month's name
    return rows


_FIGURES = ("roc_auc", "log_loss", "calibration_error")


def _promotion(promotion: Promotion) -> str:
    return (
        f"  promoted  {promotion.at:%d %b}  version {promotion.version}: {promotion.trigger}"
        f" ({promotion.reason}; {promotion.units:,} predictions in its rollout)"
    )


def _stopped(stopped: Stopped) -> str:
    planted = "planted, " if stopped.planted else ""
    version = f"version {stopped.version}" if stopped.version else "not registered"
    return (
        f"  stopped   {stopped.at:%d %b}  {version} ({planted}{stopped.trigger}) by {stopped.stopped_by}:"
        f" {stopped.reason} ({stopped.units:,} predictions met it)"
    )


def _data(data: DataAccount) -> list[str]:
    """What is to be said of the data, a thing a line."""
    first, *later = data.taken
    added = sorted(one.added_bytes for one in later)
    correction, subject, copy, kept = data.correction, data.subject, data.copy, data.keeping
    equal = sum(copy.equal.values())
    return [
        f"{data.received} deliveries in a folder under versions, {_mb(data.received_bytes)} of CSV; "
        f"{data.expectations} expectations of {data.suites} datasets in the way",
        *(f"refused: {one.delivery}. {shorten(one.reason, 230, placeholder=' …')}" for one in data.refused),
        *(f"set aside: rows of {one.dataset}: {one.rows:,} ({one.reasons})" for one in data.quarantined),
        f"flights@{first.version} is {_mb(first.added_bytes)}; each of {len(later)} months that were appended adds "
        f"{_mb(added[0])} to {_mb(added[-1])}, and flights@{later[-1].version} has {later[-1].rows:,} rows",
        f"{correction.dataset}@{correction.version} is {' and '.join(f'@{one}' for one in correction.merged)}, merged "
        f"row by row: {correction.changed_rows:,} of {correction.rows:,} rows corrected in "
        f"{correction.changed_cells:,} cells",
        f"{data.splits_proved} of {data.splits} splits proved to share nothing; {data.tagged} is what the champion "
        "was trained on",
        f"{subject.tailnum} has {subject.rows:,} flights; it is in {subject.versions} versions of datasets, and "
        f"{subject.models} versions of the model came from those",
        f"pushed: {copy.objects:,} objects, {_mb(copy.bytes)}; pulled and derived again in a second home: "
        f"{equal} of {len(copy.equal)} datasets are the same, byte by byte",
        f"the store: {kept.versions} versions of {_mb(kept.logical_bytes)} are {kept.objects:,} objects in "
        f"{_mb(kept.bytes)}; {kept.dead_objects} of them ({_mb(kept.dead_bytes)}) nobody needs; "
        f"{'whole' if kept.whole else 'DAMAGED'}",
    ]


def _mb(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in (head, *rows)]
    return "\n".join(f"  {line}" for line in lines)


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
