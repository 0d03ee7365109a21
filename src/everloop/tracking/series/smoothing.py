"""Smoothing of what is drawn: exponential moving averages as the boards that people come from have them."""

from __future__ import annotations

from collections.abc import Sequence

_VIEWPORT = 1_000.0
_MOST = 0.999


def exponential(values: Sequence[float | None], weight: float) -> list[float | None]:
    """The debiased exponential moving average that TensorBoard draws; a gap stays one, and what follows goes on.

    The average starts at 0 and is divided by what a series of ones would have reached, so that the first values are
    not pulled to 0: `resmoothDataset` in TensorBoard's components/vz_line_chart2/line-chart.ts.
    """
    last, bias = 0.0, 1.0
    smoothed: list[float | None] = []
    for value in values:
        if value is None:
            smoothed.append(None)
            continue
        last, bias = last * weight + value * (1 - weight), bias * weight
        smoothed.append(last / (1 - bias) if bias < 1 else value)
    return smoothed


def time_weighted(places: Sequence[float], values: Sequence[float | None], weight: float) -> list[float | None]:
    """The time-weighted exponential moving average that W&B draws: what is further away on the axis counts less.

    The root of the weight is raised to the distance from the value before, so that the curve does not depend on how
    densely it was logged: https://docs.wandb.ai/guides/app/features/panels/line-plot/smoothing. W&B does not say in
    which unit it takes distances; here it is a thousandth of the axis, about a pixel.
    """
    if not places:
        return []
    width = (max(places) - min(places)) or 1.0
    kept = min(weight**0.5, _MOST)
    last, bias, before = 0.0, 0.0, places[0]
    smoothed: list[float | None] = []
    for place, value in zip(places, values, strict=True):
        if value is None:
            smoothed.append(None)
            continue
        share = kept ** (abs(place - before) / width * _VIEWPORT)
        last, bias, before = last * share + value, bias * share + 1, place
        smoothed.append(last / bias)
    return smoothed
