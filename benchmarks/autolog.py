"""What `everloop.autolog` adds to a training of two seconds: CPU, plain and recorded in turns in one process.

Of each library stand the training itself beside the same with nobody watching, with the least and the largest ratio of
the pairs in brackets, and then what is added in milliseconds, which is much the same for longer trainings. The first
recorded training of a process also pays for imports and for opening the home, and stands by itself. Beside stands
`mlflow.autolog` in SQLite of the same process where it is quick enough to be waited for, once. Libraries that are not
installed, or do not end in time, are left out and said.
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

PAIRS = {"everloop": 2, "mlflow": 1}
SECONDS = {"everloop": 60.0, "mlflow": 40.0}
BESIDE = ("sklearn",)
"""What is recorded by MLflow too, which looks for each model's requirements by loading it in another process."""
Pairs = list[tuple[float, float]]


def run() -> Sequence[Figure]:
    """Seconds of CPU for each library, and milliseconds for what is added."""
    return [figure for library in FITS for figure in _figures(library)]


def _figures(library: str) -> Iterator[Figure]:
    ours = _pairs(library, "everloop")
    if ours is None:
        return
    theirs = _pairs(library, "mlflow") if library in BESIDE else None
    plain, recorded = (median(side) for side in zip(*ours[1:], strict=True))
    ratios = sorted(after / before for before, after in ours[1:])
    named = f"{library}, recorded ({ratios[0]:.2f}–{ratios[-1]:.2f})"
    yield Figure(what=named, unit="s", ours=recorded, peer="nobody watching", theirs=plain)
    yield _added(f"{library}: added to a training", ours[1:], theirs and theirs[1:])
    yield _added(f"{library}: added to the first of a process", ours[:1], theirs and theirs[:1])


def _added(what: str, ours: Pairs, theirs: Pairs | None) -> Figure:
    peer = "mlflow.autolog" if theirs else ""
    return Figure(what=what, unit="ms", ours=_milliseconds(ours), peer=peer, theirs=_milliseconds(theirs or []))


def _milliseconds(pairs: Pairs) -> float:
    return median(recorded - plain for plain, recorded in pairs) * 1e3 if pairs else 0.0


def _pairs(library: str, recorder: str) -> Pairs | None:
    """Seconds of CPU, plain and recorded, of the first recorded training of a process and of later ones."""
    if find_spec({"pytorch": "torch"}.get(library, library)) is None or find_spec(recorder) is None:
        _left_out(library, recorder, "it is not installed")
        return None
    command = [sys.executable, "-m", "benchmarks.autologging", library, recorder, str(PAIRS[recorder])]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS[recorder], check=False)
    except subprocess.TimeoutExpired:
        _left_out(library, recorder, f"it did not end within {SECONDS[recorder]:.0f} seconds")
        return None
    if done.returncode:
        _left_out(library, recorder, done.stderr[-300:])
        return None
    return msgspec.json.decode(done.stdout.splitlines()[-1], type=Pairs)


def _left_out(library: str, recorder: str, why: str) -> None:
    say(f"{library} recorded by {recorder} is left out: {why}")
