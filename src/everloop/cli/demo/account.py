"""The account of the year: what came out, as data and as a page of text. No figure of it is written into the code."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
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
    skew_compared: int
    skew_differing: int
    memo_hits: int
    memo_executed: int
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
        f"\nOnline against offline: {account.skew_differing} of {account.skew_compared:,} feature values differ",
        f"The pipeline run again: {account.memo_hits} steps from the memo, {account.memo_executed} executed",
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


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in (head, *rows)]
    return "\n".join(f"  {line}" for line in lines)


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
