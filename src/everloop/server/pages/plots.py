"""Places for charts of metrics: the server sketches them, and `plots.js` lets one zoom, smooth and read them off."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
from markupsafe import Markup

from everloop.server.pages.charts import Band, Chart, Point, Series, line_chart
from everloop.server.pages.site import Visit
from everloop.tracking.entities import Run
from everloop.tracking.series.entities import Chart as Drawn

SYSTEM = "system/"
"""What the machine did while the run went on is logged under such keys."""
SKETCHED = 12
MOST = 300
_PIXELS = 300


class Plot(msgspec.Struct, frozen=True):
    """A chart's place: the metric, the runs as the script wants them, and a sketch where the server has made one."""

    key: str
    runs: str
    sketch: Markup | None = None


def of_run(visit: Visit, run: Run) -> tuple[list[Plot], list[Plot]]:
    """The charts of a run's own metrics, and those of its machine; metrics of one value have none."""
    own = [key for key in run.metrics if not key.startswith(SYSTEM) and "[" not in key][:MOST]
    system = [key for key in run.metrics if key.startswith(SYSTEM)][:MOST]
    drawn = visit.ask("runs.charts", ids=(run.id,), keys=tuple(own[:SKETCHED]), points=_PIXELS) if own else []
    told = _told([run])
    sketched = [Plot(each.key, told, _sketch(each)) for each in drawn if each.points > 1]
    return [*sketched, *(Plot(key, told) for key in own[SKETCHED:])], [Plot(key, told) for key in system]


def of_runs(runs: Sequence[Run]) -> list[Plot]:
    """The charts of what several runs have measured, those first that most of them have."""
    counts: dict[str, int] = {}
    for run in runs:
        for key in run.metrics:
            if "[" not in key:
                counts[key] = counts.get(key, 0) + 1
    told = _told(runs)
    keys = sorted(counts, key=lambda key: (key.startswith(SYSTEM), -counts[key], key))
    return [Plot(key, told) for key in keys[:MOST]]


def _told(runs: Sequence[Run]) -> str:
    known = [{"id": run.id, "name": run.name, "started": run.started.timestamp()} for run in runs]
    return msgspec.json.encode(known).decode()


def _sketch(drawn: Drawn) -> Markup:
    steps = [float(step) for step in drawn.step]
    values = [math.nan if value is None else value for value in drawn.last]
    points = [Point(x, y, f"step {x:.0f}: {y:.4g}") for x, y in zip(steps, values, strict=True)]
    spread = [
        (x, low, high)
        for x, low, high in zip(steps, drawn.minimum, drawn.maximum, strict=True)
        if low is not None and high is not None
    ]
    ticks = [(x, f"step {x:.0f}") for x in sorted({steps[0], steps[-1]})]
    bands = [Band("", spread)] if any(low != high for _, low, high in spread) else []
    return line_chart(Chart(title=drawn.key, series=[Series("", points)], bands=bands, ticks=ticks))
