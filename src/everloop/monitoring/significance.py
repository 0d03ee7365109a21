"""How surprising a test statistic is, given how it varied over the reference's own chunks of time.

Rows of one day are not independent: they share hours, weekdays, weather. A textbook p-value over them alarms every day.
So the null of each statistic is learned: its mean over chunks exceeds what independent rows give by a share that grows
with the rows of a chunk (a variance component), and its spread is matched by a scaled chi-square (Satterthwaite 1946;
Rao & Scott 1981). That the scale was estimated, from so many chunks and no more, is what the F distribution is for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from everloop.monitoring.entities import Null

_TINY = 1e-300


def learn(seen: Sequence[tuple[float, float]], base: float) -> Null:
    """The null of a statistic from its value and effective size in each chunk, in order of time.

    `base` is its mean under independence: the degrees of freedom. The null is never taken to be narrower than that.
    """
    if len(seen) < 2:
        return Null(base, 0.0, base, len(seen))
    values, sizes = np.array(seen, dtype=float).T
    mean, variance = float(values.mean()), float(values.var(ddof=1))
    excess = max(mean - base, 0.0) / float(sizes.mean())
    freedom = 2 * mean**2 / variance if variance > 0 else base
    return Null(base, excess, float(np.clip(freedom, 0.5, base)), len(values), independent_share(values))


def p_value(null: Null, value: float, size: float) -> float:
    """The chance of a value at least this large over an effective size, when nothing has changed."""
    ratio = value / (null.base + null.excess * size)
    if null.chunks < 2:
        # Nothing is known of how chunks differ; as if the scale rested on two of them, only gross changes count.
        return f_survival(ratio, null.freedom, 2 * null.freedom)
    return f_survival(ratio, null.freedom, null.freedom * null.chunks * null.independent)


def independent_share(values: np.ndarray) -> float:
    """Which share of so many chunks counts, since chunks next to each other are alike.

    The values are squares, whose correlation is the square of that of their roots. What chance alone brings
    (one in twenty times) is taken off first.
    """
    centred = values - values.mean()
    power = float(np.dot(centred, centred))
    if power <= 0:
        return 1.0
    seen = float(np.dot(centred[:-1], centred[1:])) / power - 1.645 / math.sqrt(len(values))
    correlation = math.sqrt(min(max(seen, 0.0), 0.8))
    return (1 - correlation) / (1 + correlation)


def f_survival(value: float, above: float, below: float) -> float:
    """P(F > value) for an F distribution with (above, below) degrees of freedom."""
    if value <= 0:
        return 1.0
    return beta_cumulative(below / (below + above * value), below / 2, above / 2)


def beta_cumulative(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function I_x(a, b), by Lentz's continued fraction (Numerical Recipes, 6.4)."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    if x < (a + 1) / (a + b + 2):
        return front * _fraction(x, a, b) / a
    return 1 - front * _fraction(1 - x, b, a) / b


def _fraction(x: float, a: float, b: float) -> float:
    c, d = 1.0, 1 / _away(1 - (a + b) * x / (a + 1))
    found = d
    for m in range(1, 500):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for step in (even, odd):
            d = 1 / _away(1 + step * d)
            c = _away(1 + step / c)
            found *= c * d
        if abs(c * d - 1) < 1e-12:
            break
    return found


def _away(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
