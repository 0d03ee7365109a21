"""Which parameters explain a metric.

With scikit-learn installed: permutation importance of a random forest (L. Breiman, "Random Forests", Machine Learning
45, 2001, section 10): how much less of the metric's variance (R²) a forest explains when one parameter is shuffled. It
is measured on the half of the runs that the forest has not seen, for both halves, so that chance explains nothing; it
sees parameters that only matter together. Without scikit-learn: the square of Spearman's rank correlation, or for
parameters that are no numbers the correlation ratio of the ranks, each parameter by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal

import msgspec

from everloop.kernel.errors import Refused

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]

FEWEST = 8
"""So many runs there must be."""
MOST = 20_000
_TREES = 100
_SHUFFLES = 5


class Importance(msgspec.Struct, frozen=True):
    """What a parameter explains of a metric.

    `share` is its part of what all parameters explain, between 0 and 1; `correlation` is Spearman's, between -1 and 1,
    None for a parameter that is no number. `runs` is how many have the parameter.
    """

    parameter: str
    share: float
    correlation: float | None
    runs: int


class Importances(msgspec.Struct, frozen=True):
    """The parameters that differ between runs, the most important first.

    `explained` is the part of the metric's variance that all of them explain together in runs that the method has not
    seen; near 0 the shares mean nothing. It is None without scikit-learn.
    """

    metric: str
    runs: int
    method: Literal["random forest permutation", "rank correlation"]
    explained: float | None
    parameters: list[Importance]


def importances(metric: str, values: Sequence[float], parameters: Mapping[str, Sequence[str | None]]) -> Importances:
    """The importance of each parameter; it has a text, or none, for each of the values.

    Raises:
        Refused: there are too few values.
    """
    import numpy as np

    if len(values) < FEWEST:
        raise Refused(
            f"{len(values)} runs with a finite {metric!r} say nothing of importance.", hint=f"It takes {FEWEST}."
        )
    target = np.array(values, np.float64)
    varying = {key: texts for key, texts in sorted(parameters.items()) if len(set(texts)) > 1}
    columns = {key: _column(texts) for key, texts in varying.items()}
    if find_spec("sklearn") is not None and columns:
        weights, explained = _by_forest(np.column_stack([column for column, _ in columns.values()]), target)
        method: Literal["random forest permutation", "rank correlation"] = "random forest permutation"
    else:
        weights, explained = [_by_ranks(column, numeric, target) for column, numeric in columns.values()], None
        method = "rank correlation"
    total = sum(weights) or 1.0
    found = [
        Importance(key, weight / total, _spearman(column, target) if numeric else None, _count(varying[key]))
        for (key, (column, numeric)), weight in zip(columns.items(), weights, strict=True)
    ]
    return Importances(metric, len(values), method, explained, sorted(found, key=lambda one: -one.share))


def _column(texts: Sequence[str | None]) -> tuple[Numbers, bool]:
    """A parameter as numbers, NaN where there is none, and whether it is one; other texts are numbered in order."""
    import numpy as np

    try:
        return np.array([np.nan if text is None else float(text) for text in texts], np.float64), True
    except ValueError:
        known = {
            text: float(number) for number, text in enumerate(sorted({text for text in texts if text is not None}))
        }
        return np.array([np.nan if text is None else known[text] for text in texts], np.float64), False


def _by_forest(matrix: Numbers, target: Numbers) -> tuple[list[float], float]:
    """The importance of each column, and how much the forests explain, over both halves."""
    import numpy as np
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.inspection import permutation_importance

    clean = np.where(np.isfinite(matrix), matrix, np.nan)
    halves = np.random.default_rng(0).permutation(len(target)) % 2 == 0
    weights, explained = np.zeros(matrix.shape[1]), 0.0
    for seen in (halves, ~halves):
        forest = RandomForestRegressor(_TREES, random_state=0).fit(clean[seen], target[seen])
        explained += max(0.0, float(forest.score(clean[~seen], target[~seen]))) / 2
        weights += permutation_importance(
            forest, clean[~seen], target[~seen], n_repeats=_SHUFFLES, random_state=0
        ).importances_mean
    return [max(0.0, float(weight)) for weight in weights], explained


def _by_ranks(column: Numbers, numeric: bool, target: Numbers) -> float:
    """The part of the ranks' variance that a parameter explains by itself."""
    import numpy as np

    if numeric:
        return _spearman(column, target) ** 2
    ranks = _ranks(target)
    groups = [ranks[column == value] for value in np.unique(column[~np.isnan(column)])]
    between = sum(len(group) * (group.mean() - ranks.mean()) ** 2 for group in groups)
    total = float(((ranks - ranks.mean()) ** 2).sum())
    return float(between) / total if total else 0.0


def _spearman(column: Numbers, target: Numbers) -> float:
    import numpy as np

    there = np.isfinite(column)
    if len(np.unique(column[there])) < 2 or len(np.unique(target[there])) < 2:
        return 0.0
    return float(np.corrcoef(_ranks(column[there]), _ranks(target[there]))[0, 1])


def _ranks(values: Numbers) -> Numbers:
    """Ranks, where equals share the mean of theirs."""
    import numpy as np

    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    shared: Numbers = ((ends - counts) + (ends - 1)) / 2
    return shared[places]


def _count(texts: Sequence[str | None]) -> int:
    return sum(text is not None for text in texts)
