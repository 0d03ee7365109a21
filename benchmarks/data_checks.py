"""Checks of a table of 20 columns, loading included, beside pandera (Polars) and Great Expectations (pandas).

Each checker is a process of its own that reads the same Parquet and is asked the same 50 checks; start and imports are
not counted. `EVERLOOP_BENCH_ROWS` names another number of rows than 10,000,000, `EVERLOOP_PEERS` the Python that peers
are installed for; a peer that is not there is left out and said.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.harness import Figure
from benchmarks.report import say

CHECKERS = Path(__file__).parent / "checkers"
PEERS = {"pandera_polars.py": "pandera, Polars", "great_expectations_pandas.py": "Great Expectations, pandas"}
MISSING = 0.01


class Outcome(msgspec.Struct):
    """What a checker cost, and how many rows it found to fail each check (pandera: one number for all)."""

    cpu: float
    wall: float
    gigabytes: float
    failures: list[int]
    """Great Expectations gives them in an order of its own."""


def run() -> Sequence[Figure]:
    """The whole suite over the whole table, once for each checker: CPU seconds and the most memory held."""
    rows = int(os.environ.get("EVERLOOP_BENCH_ROWS", "10000000"))
    with tempfile.TemporaryDirectory(prefix="everloop-checks-", dir=os.environ.get("EVERLOOP_BENCH_FOLDER")) as folder:
        table, suite = Path(folder) / "rows.parquet", Path(folder) / "suite.json"
        pq.write_table(rows_of(rows), table, compression="zstd", row_group_size=1 << 20)
        suite.write_text(json.dumps(SUITE))
        ours = _checked(sys.executable, "everloop_polars.py", table, suite)
        if ours is None:
            raise RuntimeError("our own checker did not run")
        return list(_figures(ours, table, suite, f"{len(SUITE)} checks on {rows:,} rows × 20 columns"))


def _figures(ours: Outcome, table: Path, suite: Path, what: str) -> Iterator[Figure]:
    for script, peer in PEERS.items():
        theirs = _checked(os.environ.get("EVERLOOP_PEERS", sys.executable), script, table, suite)
        if theirs is None:
            say(f"{peer} is not installed: left out")
            continue
        if len(theirs.failures) > 1 and sorted(theirs.failures) != sorted(ours.failures):
            say(f"{peer} finds other rows: {theirs.failures}, we {ours.failures}")
        yield Figure(
            what=what,
            unit="s",
            ours=ours.cpu,
            peer=peer,
            theirs=theirs.cpu,
            our_wall=ours.wall,
            their_wall=theirs.wall,
        )
        yield Figure(what=f"{what}: memory", unit="GB", ours=ours.gigabytes, peer=peer, theirs=theirs.gigabytes)


def _checked(python: str, script: str, table: Path, suite: Path) -> Outcome | None:
    command = [python, "-W", "ignore", str(CHECKERS / script), str(table), str(suite)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if "ModuleNotFoundError" in ran.stderr:
        return None
    if ran.returncode:
        raise RuntimeError(f"{script} failed: {ran.stderr[-2000:]}")
    return msgspec.json.decode(ran.stdout.splitlines()[-1], type=Outcome)


def rows_of(count: int) -> pa.Table:
    """Orders of a shop: a key, measures with gaps, counts with gaps, codes, a time that grows, a flag."""
    random = np.random.default_rng(7)

    def picked(words: Sequence[str]) -> pa.Array:
        return pa.array(words).take(pa.array(random.integers(0, len(words), count)))

    def gaps(values: np.ndarray) -> pa.Array:
        return pa.array(values, mask=random.random(count) < MISSING)

    seconds = np.sort(random.integers(0, 366 * 86_400, count)).astype("timedelta64[s]")
    return pa.table(
        {
            "id": pa.array(random.permutation(count)),
            **{f"f{n}": gaps(random.normal(50, 10, count)) for n in range(6)},
            "price": pa.array((random.gamma(2, 20, count) + 60).round(2)),
            "cost": pa.array(np.minimum(random.gamma(2, 5, count), 60).round(2)),
            **{f"i{n}": gaps(random.integers(0, 1_000, count)) for n in range(4)},
            "day": pa.array(random.integers(1, 32, count).astype(np.int32)),
            "origin": picked(ORIGINS),
            "tail": picked([f"N{n:05}" for n in range(4_000)]),
            "carrier": picked(CARRIERS),
            "status": picked(STATES),
            "at": pa.array(np.datetime64("2024-01-01", "us") + seconds),
            "flag": pa.array(random.random(count) < 0.3),
        }
    )


ORIGINS = ["EWR", "JFK", "LGA"]
CARRIERS = [f"C{n}" for n in range(16)]
STATES = ["new", "paid", "sent", "back", "lost"]
SUITE: list[dict[str, object]] = [
    *({"type": "in_range", "column": f"f{n}", "minimum": -50, "maximum": 150} for n in range(6)),
    *({"type": "in_range", "column": f"f{n}", "minimum": 0} for n in range(6)),
    *({"type": "mean_in_range", "column": f"f{n}", "minimum": 40, "maximum": 60} for n in range(6)),
    {"type": "mean_in_range", "column": "price", "minimum": 50, "maximum": 200},
    *({"type": "not_null", "column": name} for name in ("id", "price", "cost", "day", "at", "flag")),
    *({"type": "in_range", "column": name, "minimum": 0, "maximum": 10_000} for name in ("price", "cost")),
    {"type": "compare", "left": "price", "operator": ">=", "right": "cost"},
    *({"type": "in_range", "column": f"i{n}", "minimum": 0, "maximum": 999} for n in range(4)),
    {"type": "in_range", "column": "day", "minimum": 1, "maximum": 31},
    {"type": "in_range", "column": "id", "minimum": 0},
    *({"type": "not_null", "column": name} for name in ("origin", "carrier", "status", "tail")),
    {"type": "one_of", "column": "origin", "values": ORIGINS},
    {"type": "one_of", "column": "carrier", "values": CARRIERS},
    {"type": "one_of", "column": "status", "values": STATES},
    *(
        {"type": "length", "column": name, "minimum": 1, "maximum": 6}
        for name in ("origin", "carrier", "status", "tail")
    ),
    {"type": "matches", "column": "origin", "pattern": "[A-Z]{3}"},
    {"type": "matches", "column": "carrier", "pattern": "C[0-9]+"},
    {"type": "matches", "column": "status", "pattern": "[a-z]+"},
    {"type": "matches", "column": "tail", "pattern": "N[0-9]{5}"},
    {"type": "unique", "columns": ["id"]},
]
