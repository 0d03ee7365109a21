"""Rows that lie where a wrong comparison shows: on every threshold, beside it, and on what is no number.

Random rows hardly ever do: a model that was exported in float32 agreed with itself on all of them, and was wrong on
seven of a hundred real ones, because real values repeat and thresholds are put between them.
"""

from __future__ import annotations

import numpy as np

from everloop.registry.trees.table import LEFT, RIGHT, TreeTable

MOST = 20_000
_CODES = 32
"""So many categories of a node are tried."""


def boundary_rows(table: TreeTable, sample: np.ndarray, most: int = MOST) -> np.ndarray:
    """Up to some `most` rows, each made of a sample's row that was led to a node and put on its threshold there.

    A forest with more nodes than that has its nodes taken evenly. What the model refuses (missing values, infinities)
    is not among them.
    """
    random = np.random.default_rng(0)
    sample = taken(table, sample) if len(sample) else np.zeros((1, table.features))
    nodes = np.flatnonzero(table.inner)
    wanted = max(1, most // (2 * (_variants(table) + 1)))
    if len(nodes) > wanted:
        nodes = np.sort(random.permutation(nodes)[:wanted])
    led = _led(table, nodes, sample)
    numeric = ~table.categorical[nodes]
    parts = [
        *_on_thresholds(table, nodes[numeric], led[numeric]),
        *(_on_categories(table, node, row) for node, row in zip(nodes[~numeric], led[~numeric], strict=True)),
    ]
    rows = np.concatenate([np.empty((0, table.features)), *parts])[: most // 2]
    # The same values in other company, so that they meet the nodes that were left out.
    mixed = random.permuted(rows, axis=0)
    return taken(table, np.concatenate([rows, mixed, _extremes(table, sample)]))


def taken(table: TreeTable, rows: np.ndarray) -> np.ndarray:
    """The rows with what the model refuses replaced by what it takes."""
    how = table.arithmetic
    rows = rows if how.missing else np.where(np.isnan(rows), 0.0, rows)
    return np.ascontiguousarray(np.clip(rows, -how.largest, how.largest))


def _variants(table: TreeTable) -> int:
    return 7 if table.arithmetic.float32_inputs else 4


def _on_thresholds(table: TreeTable, nodes: np.ndarray, led: np.ndarray) -> list[np.ndarray]:
    threshold, feature = table.threshold[nodes], table.feature[nodes]
    sides = [threshold, np.nextafter(threshold, np.inf), np.nextafter(threshold, -np.inf), np.full(len(nodes), np.nan)]
    if table.arithmetic.float32_inputs:
        with np.errstate(over="ignore"):
            single = threshold.astype(np.float32)
            sides += [single, np.nextafter(single, np.float32(np.inf)), np.nextafter(single, np.float32(-np.inf))]
    found = []
    for values in sides:
        rows = led.copy()
        rows[np.arange(len(nodes)), feature] = values
        found.append(rows)
    return found


def _on_categories(table: TreeTable, node: int, row: np.ndarray) -> np.ndarray:
    which = table.nodes["key"][node]
    count = int(table.sets[which + 1] - table.sets[which])
    codes = [*range(min(count, _CODES)), count, count + 1, -1, -0.5, 0.5, 1.5, 2.0**24, 1e300, np.nan]
    rows = np.repeat(row[None], len(codes), axis=0)
    rows[:, table.feature[node]] = codes
    return rows


def _extremes(table: TreeTable, sample: np.ndarray) -> np.ndarray:
    """A row with each input missing, infinite either way, and nought either way."""
    values = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 5e-324, -5e-324, 1e-35, -1e-35])
    rows = np.repeat(sample[np.arange(table.features) % len(sample)], len(values), axis=0)
    rows[np.arange(len(rows)), np.repeat(np.arange(table.features), len(values))] = np.tile(values, table.features)
    return rows


def _led(table: TreeTable, nodes: np.ndarray, sample: np.ndarray) -> np.ndarray:
    """For each node a row that reaches it: a sample's, changed as little as the way there needs."""
    parent = np.full(len(table.nodes), -1)
    inner = np.flatnonzero(table.inner)
    parent[table.nodes["child"][inner]] = parent[table.nodes["child"][inner] + 1] = inner
    rows = sample[np.arange(len(nodes)) % len(sample)].copy()
    ways = []
    at = nodes
    while (parent[at] >= 0).any():
        ways.append(at)
        at = np.where(parent[at] >= 0, parent[at], at)
    for below in reversed(ways):
        above = parent[below]
        moving = np.flatnonzero(above >= 0)
        _send(table, above[moving], below[moving] != table.nodes["child"][above[moving]], rows, moving)
    return rows


def _send(table: TreeTable, nodes: np.ndarray, right: np.ndarray, rows: np.ndarray, which: np.ndarray) -> None:
    """Change what sends rows elsewhere than they should go from these nodes."""
    feature, threshold = table.feature[nodes], table.threshold[nodes]
    values = rows[which, feature]
    goes_right = np.where(np.isnan(values), ~table.missing_left[nodes], values > threshold)
    sent = np.where(right, np.nextafter(threshold, np.inf), threshold)
    values = np.where(goes_right == right, values, sent)
    for at in np.flatnonzero(table.categorical[nodes]):
        values[at] = _category(table, nodes[at], bool(right[at]))
    rows[which, feature] = values


def _category(table: TreeTable, node: int, right: bool) -> float:
    """A code that goes this way; an unknown one where none is known to."""
    which = table.nodes["key"][node]
    ways = table.ways[table.sets[which] : table.sets[which + 1]]
    found = np.flatnonzero(ways == (RIGHT if right else LEFT))
    return float(found[0]) if len(found) else float(len(ways))
