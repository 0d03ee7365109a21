"""`everloop demo` as a user runs it: minutes, memory, and the loop beside the model that is never retrained.

What the loop is worth stands here as costs too: 1 - ROC AUC by month, beside the same of the first model all year.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence

import msgspec

from benchmarks import scratch
from benchmarks.children import ROOT
from benchmarks.harness import Figure, children_seconds
from everloop.cli.demo.account import Account

SECONDS, MEGABYTES = 120.0, 3_000.0
"""What the demo may take."""


def run() -> Sequence[Figure]:
    """Run it in a fresh home."""
    before = children_seconds()
    command = [sys.executable, "-m", "everloop", "demo", "--json", "--home", str(scratch.folder() / "home")]
    answer = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE)
    cpu = children_seconds() - before
    account = msgspec.json.decode(answer.stdout, type=Account)
    limit = "what it may take"
    return [
        Figure(what="seconds, whole", unit="s", ours=account.seconds, peer=limit, theirs=SECONDS),
        Figure(what="CPU seconds, all processes", unit="s", ours=cpu, peer="2 cores for that", theirs=2 * SECONDS),
        Figure(what="memory, all processes", unit="MB", ours=account.peak_memory_mb, peer=limit, theirs=MEGABYTES),
        *_months(account),
    ]


def _months(account: Account) -> Sequence[Figure]:
    areas: Mapping[tuple[str, int], float] = {(one.policy, one.month): one.roc_auc for one in account.monthly}
    months = sorted({month for _, month in areas})
    return [
        Figure(
            what=f"1 - ROC AUC, month {month}",
            unit="",
            ours=1 - areas["loop", month],
            peer="never retrained",
            theirs=1 - areas["never", month],
        )
        for month in months
        if ("loop", month) in areas and ("never", month) in areas
    ]
