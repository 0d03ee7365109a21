"""Runs as a notebook shows them: name, status, a link, and each metric with a small line of how it went."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from everloop.tracking.entities import Run

_WIDTH, _HEIGHT = 120, 24
_MOST = 40


def sparkline(values: Sequence[float]) -> str:
    """A line through values as SVG; what is no finite number is left out."""
    # Halves, as from the lowest number to the highest it may be further than numbers reach.
    finite = [(at, value / 2) for at, value in enumerate(values) if abs(value) < float("inf")]
    if not finite:
        return ""
    low, high = min(value for _, value in finite), max(value for _, value in finite)
    across, up = _WIDTH / max(len(values) - 1, 1), (_HEIGHT - 2) / ((high - low) or 1.0)
    points = " ".join(f"{at * across:.1f},{_HEIGHT - 1 - (value - low) * up:.1f}" for at, value in finite)
    line = f'<polyline points="{points}" fill="none" stroke="currentColor" stroke-width="1"/>'
    return f'<svg width="{_WIDTH}" height="{_HEIGHT}" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">{line}</svg>'


def card(
    title: str, status: str, link: str, texts: Sequence[tuple[str, str]], series: Sequence[tuple[str, Sequence[float]]]
) -> str:
    """A run as HTML. Every text is escaped: names and values come from anywhere."""
    head = f'<a href="{escape(link, quote=True)}" target="_blank">{escape(title)}</a>' if link else escape(title)
    rows = [f"<tr><td>{escape(key)}</td><td>{escape(text)}</td><td></td></tr>" for key, text in texts[:_MOST]]
    for key, values in series[:_MOST]:
        last = f"{values[-1]:.6g}" if values else ""
        rows.append(f"<tr><td>{escape(key)}</td><td>{last}</td><td>{sparkline(values)}</td></tr>")
    return f"<div><b>{head}</b> <i>{escape(status)}</i><table>{''.join(rows)}</table></div>"


def of_run(run: Run) -> str:
    """A run of a platform."""
    metrics = [(key, [value] if value is not None else []) for key, value in run.metrics.items()]
    return card(f"{run.experiment} / {run.name}", run.status, "", list(run.parameters.items()), metrics)


def of_runs(runs: list[object]) -> str | None:
    """Several runs as a table; nothing for any other list."""
    found = [run for run in runs if isinstance(run, Run)]
    if not found or len(found) < len(runs):
        return None
    keys = sorted({key for run in found for key in run.metrics})[:_MOST]
    head = "".join(f"<th>{escape(text)}</th>" for text in ("run", "experiment", "status", *keys))
    rows = "".join(f"<tr>{''.join(f'<td>{escape(text)}</td>' for text in _row(run, keys))}</tr>" for run in found)
    return f"<table><tr>{head}</tr>{rows}</table>"


def _row(run: Run, keys: Sequence[str]) -> list[str]:
    values = [run.metrics.get(key) for key in keys]
    return [run.name, run.experiment, run.status, *("" if value is None else f"{value:.6g}" for value in values)]
