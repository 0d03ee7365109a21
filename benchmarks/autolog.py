"""What `everloop.autolog` adds to a training of a second or two: CPU, plain and recorded in turns in one process.

Beside stands `mlflow.autolog` in SQLite of the same process; `theirs` is the same training with nobody watching. The
first recorded training of a process also pays for imports and for opening the home, and stands by itself. A range in
brackets is the least and the largest ratio of the pairs. Libraries that are not installed are left out and said.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from statistics import median

import msgspec

from benchmarks.autologging.fits import FITS
from benchmarks.children import ROOT
from benchmarks.harness import Figure
from benchmarks.report import say

PAIRS = 5
SECONDS = 400.0
Pairs = list[tuple[float, float]]


def run() -> Sequence[Figure]:
    """Seconds of CPU for each library and each recorder."""
    return [figure for library in FITS for recorder in ("everloop", "mlflow") for figure in _figures(library, recorder)]


def _figures(library: str, recorder: str) -> Iterator[Figure]:
    if find_spec({"pytorch": "torch"}.get(library, library)) is None:
        say(f"{library} is left out: it is not installed")
        return
    if (library, recorder) == ("optuna", "mlflow"):
        return  # MLflow has no autologging for it.
    command = [sys.executable, "-m", "benchmarks.autologging", library, recorder, str(PAIRS)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS, check=False)
    if done.returncode:
        say(f"{library} with {recorder} is left out: {done.stderr[-300:]}")
        return
    first, *pairs = msgspec.json.decode(done.stdout.splitlines()[-1], type=Pairs)
    ratios = sorted(recorded / plain for plain, recorded in pairs)
    yield _figure(f"{library}, recorded by {recorder} ({ratios[0]:.2f}–{ratios[-1]:.2f})", pairs)
    yield _figure(f"{library}, recorded by {recorder}: the first of a process", [first])


def _figure(what: str, pairs: Pairs) -> Figure:
    plain, recorded = (median(side) for side in zip(*pairs, strict=True))
    return Figure(what=what, unit="s", ours=recorded, peer="nobody watching", theirs=plain)
