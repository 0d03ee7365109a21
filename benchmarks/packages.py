"""An image of a model: its size, how long it takes anew and after a change of the model only, the same bytes twice.

The model is that of `serving_peers`: gradient boosting, compiled, so its own library is not packed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from benchmarks import scratch
from benchmarks.harness import Figure
from benchmarks.serving import model
from everloop.app.platform import Platform
from everloop.packaging.entities import Package

TO_REACH = "to reach"
FORMS = ("image", "lambda", "executable")


def run() -> Sequence[Figure]:
    """An image in two homes, and the sizes of other forms."""
    first, other = scratch.platform(), scratch.platform()
    for platform in (first, other):
        model.registered(platform, 0)
    image, anew = _timed(lambda: _built(first, "image", 1))
    model.registered(first, 1)
    _, changed = _timed(lambda: _built(first, "image", 2))
    again = _built(other, "image", 1)
    figures = [
        _said("image, compressed", "MB", image.size / 1e6, 65.0),
        _said("an image after a change of the model only", "s", changed, 1.0),
        Figure(what="an image after a change of the model only", unit="s", ours=changed, peer="anew", theirs=anew),
        _said("images made in two homes that differ", "", len({image.digest, again.digest}) - 1, 0.0),
    ]
    others = [form for form in FORMS if form != "image"]
    return [*figures, *(_said(form, "MB", _built(first, form, 1).size / 1e6, 65.0) for form in others)]


def _built(platform: Platform, form: str, version: int) -> Package:
    made = platform.call("packages.build", {"model": model.NAME, "version": version, "form": form})
    assert isinstance(made, Package)
    return made


def _timed(work: Callable[[], Package]) -> tuple[Package, float]:
    started = time.perf_counter()
    made = work()
    return made, time.perf_counter() - started


def _said(what: str, unit: str, ours: float, bar: float) -> Figure:
    return Figure(what=what, unit=unit, ours=ours, peer=TO_REACH, theirs=bar)
