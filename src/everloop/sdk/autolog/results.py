"""What came out of a training, as files of its run: the model with an example of its input, importances, figures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from everloop.datasets.frames import as_arrow
from everloop.sdk.active import named_columns
from everloop.sdk.autolog.training import Training, guarded

_EXAMPLE = 5
_ENOUGH = 1_000
_MOST_BARS = 30


def keep_model(training: Training, model: object, data: Any, outputs: str | Sequence[str] = "prediction") -> None:
    """Keep a model with its signature, which the data shows, and its first rows as an example of input."""
    if not training.options.log_models:
        return
    with guarded(training.library):
        columns = shown(data)
        training.run.log_model(model, example=columns, outputs=outputs)
        rows = [list(row) for row in zip(*(values[:_EXAMPLE].tolist() for values in columns.values()), strict=True)]
        content = json.dumps({"columns": list(columns), "data": rows}, default=str).encode()
        training.run.keep("models/model/input_example.json", content)


def shown(data: Any) -> dict[str, Any]:
    """The columns of training data: of numbers the first rows, of texts all, since categories come from them."""
    import numpy as np

    if hasattr(data, "tocsr"):
        data = data.tocsr()[:_ENOUGH].toarray()
    if isinstance(data, list):
        data = np.asarray(data)
    if isinstance(data, np.ndarray):
        return dict(named_columns(data[:_ENOUGH]))
    if isinstance(data, Mapping):
        return {str(name): np.asarray(values) for name, values in data.items()}
    table = as_arrow(data)
    numbers = all(str(field.type).startswith(("int", "uint", "float", "double", "bool")) for field in table.schema)
    return dict(named_columns(table.slice(0, _ENOUGH) if numbers else table))


def keep_importances(training: Training, names: Sequence[str], kinds: Mapping[str, Sequence[float]]) -> None:
    """Keep how much each input counted: all as a table, and of each kind the most important in a figure."""
    with guarded(training.library):
        columns = {kind: [float(value) for value in values] for kind, values in kinds.items()}
        training.run.log_table({"feature": list(names), **columns}, "feature_importance.parquet")
    if training.options.log_plots:
        with guarded(training.library):
            training.run.keep("feature_importance.svg", drawn(names, kinds).encode())


def drawn(names: Sequence[str], kinds: Mapping[str, Sequence[float]]) -> str:
    """The largest of each kind as bars, in SVG of our own: Matplotlib takes half a second to begin."""
    blocks: list[str] = []
    top = 0
    for kind, values in kinds.items():
        largest = sorted(zip(values, names, strict=True), reverse=True)[:_MOST_BARS]
        blocks.append(f'<g transform="translate(0 {top})">{bars(largest, f"Feature importance ({kind})")}</g>')
        top += 36 + 20 * len(largest)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="620" height="{top}" font-family="sans-serif" font-size="12">'
    )
    return f"{head}{''.join(blocks)}</svg>"


def bars(values: Sequence[tuple[float, str]], title: str) -> str:
    """Numbers with names as bars, in SVG."""
    from html import escape

    most = max((value for value, _ in values), default=0.0) or 1.0
    lines = [
        f'<text x="196" y="{40 + 20 * at}" text-anchor="end">{escape(name[:28])}</text>'
        f'<rect x="200" y="{28 + 20 * at}" width="{max(value, 0) / most * 320:.1f}" height="15" fill="#4269d0"/>'
        f'<text x="{206 + max(value, 0) / most * 320:.1f}" y="{40 + 20 * at}">{value:.4g}</text>'
        for at, (value, name) in enumerate(values)
    ]
    return f'<text x="8" y="16" font-weight="bold">{escape(title)}</text>{"".join(lines)}'
