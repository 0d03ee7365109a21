"""References: what windows are compared with, made from rows of a quiet time, best from a model's holdout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
from msgspec.structs import replace

from everloop.kernel.clock import MICROSECOND, from_micros
from everloop.kernel.errors import InvalidInput
from everloop.monitoring import attribution, significance
from everloop.monitoring.attribution import Contributions
from everloop.monitoring.drift import learn_noise, learn_nulls
from everloop.monitoring.entities import Bins, FeatureReference, Null, Performance, Reference, Statistic
from everloop.monitoring.performance import performance_of
from everloop.monitoring.profile import bins_for, codes, profile

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from everloop.monitoring.profile import Values

    Floats = NDArray[np.float64]

OUTPUT = "output"
"""What the model's output is called among the features."""
ATTRIBUTED = 3000
"""So many rows of a reference are attributed at most: about 2 s of exact TreeSHAP with 100 trees."""
FEW = 8
"""A reference with fewer chunks of time than this is cut into equal blocks of consecutive rows instead."""
BLOCKS = 20
_BLOCK_ROWS = 30


@dataclass(frozen=True)
class Quiet:
    """Rows of a time when all was well: the model's inputs in its order, and its outputs.

    Numbers are float64 with NaN for missing, strings are objects with None; `label` is NaN where none has come.
    """

    columns: Mapping[str, Values]
    at: NDArray[np.int64]
    output: Floats
    label: Floats = field(default_factory=lambda: np.empty(0))
    model_version: int = 0


def build_reference(
    quiet: Quiet, contributions: Contributions | None = None, chunk: timedelta = timedelta(days=1), seed: int = 0
) -> Reference:
    """The reference that some rows make. A second or two with attribution, 0.3 s for 50,000 rows x 17 without.

    `chunk` is the span of a window to come. Without `contributions` the effect of a feature on the output is taken from
    the mean output in each of its bins.

    Raises:
        InvalidInput: there are fewer than 30 rows, or columns of different lengths.
    """
    _check(quiet)
    chunks = _chunks(quiet.at, chunk)
    sample = _sample(chunks, np.random.default_rng(seed)) if contributions else np.arange(len(quiet.at))
    slope, given = 1.0, quiet.output[:, None] - quiet.output.mean()
    if contributions:
        given = contributions({name: values[sample] for name, values in quiet.columns.items()})
        slope = _slope(quiet.output[sample], given.sum(axis=1))
        given = given * slope
    names = list(quiet.columns)
    features = tuple(
        _feature(name, quiet.columns[name], chunks, (sample, given[:, n if contributions else 0]))
        for n, name in enumerate(names)
    )
    performance, nulls = _performance(quiet, chunks)
    return Reference(
        rows=len(quiet.at),
        start=from_micros(int(quiet.at.min())),
        end=from_micros(int(quiet.at.max())) + MICROSECOND,
        chunk=chunk,
        features=features,
        output=_feature(OUTPUT, quiet.output, chunks, (np.arange(len(quiet.at)), quiet.output)),
        attribution=attribution.learn(names, given, chunks[sample]) if contributions else (),
        slope=slope,
        performance=performance,
        performance_nulls=nulls,
        model_version=quiet.model_version,
    )


def effective_since(references: tuple[Reference, ...], end: datetime) -> Reference | None:
    """The reference that holds for a window with this end: the newest that was set before it, else the first."""
    holding = [reference for reference in references if reference.since < end]
    return max(holding, key=lambda one: one.since) if holding else next(iter(references), None)


def _check(quiet: Quiet) -> None:
    lengths = {name: len(values) for name, values in quiet.columns.items()} | {"output": len(quiet.output)}
    odd = {name: length for name, length in lengths.items() if length != len(quiet.at)}
    if odd or len(quiet.at) < _BLOCK_ROWS:
        raise InvalidInput(
            f"A reference of {len(quiet.at)} rows cannot be made from columns of {odd or 'that'} length.",
            hint=f"Give at least {_BLOCK_ROWS} rows, and every column for each of them.",
        )


def _chunks(at: NDArray[np.int64], chunk: timedelta) -> NDArray[np.int64]:
    """The chunk of each row, from 0 in order of time; -1 for rows of chunks that are too thin to learn from."""
    number = (at - at.min()) // (chunk // MICROSECOND)
    _, index, counts = np.unique(number, return_inverse=True, return_counts=True)
    thick = counts >= max(np.median(counts) / 4, 2)
    if thick.sum() >= FEW:
        return np.where(thick[index], index, -1)
    blocks = min(BLOCKS, len(at) // _BLOCK_ROWS)
    order = np.empty(len(at), dtype=np.int64)
    order[np.argsort(at, kind="stable")] = np.arange(len(at)) * blocks // len(at)
    return order


def _sample(chunks: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.int64]:
    """Rows to attribute: as many of each chunk."""
    shuffled = random.permutation(np.flatnonzero(chunks >= 0))
    shuffled = shuffled[np.argsort(chunks[shuffled], kind="stable")]
    numbers, first, counts = np.unique(chunks[shuffled], return_index=True, return_counts=True)
    each = max(ATTRIBUTED // len(numbers), 2)
    place = np.arange(len(shuffled)) - np.repeat(first, counts)
    return np.asarray(shuffled[place < min(each, 200)])


def _slope(output: Floats, explained: Floats) -> float:
    """What one unit of contribution moves the output by: the regression of outputs on summed contributions."""
    centred = explained - explained.mean()
    power = float(np.dot(centred, centred))
    return float(np.dot(centred, output)) / power if power > 0 else 1.0


def _feature(
    name: str, values: Values, chunks: NDArray[np.int64], attributed: tuple[NDArray[np.int64], Floats]
) -> FeatureReference:
    sample, given = attributed
    bins = bins_for(values)
    low, high, mean, deviation = _moments(values) if bins.kind == "number" else (0.0, 0.0, 0.0, 0.0)
    bare = FeatureReference(name, bins, (), mean, deviation, low, high, {})
    bare = replace(bare, counts=tuple(profile(bare, values).counts.astype(int).tolist()))
    bare = replace(bare, curve=_curve(bins, codes(bins, values[sample]), given))
    parts = [profile(bare, values[chunks == number]) for number in range(int(chunks.max()) + 1)]
    parts = [part for part in parts if part.rows]
    return replace(bare, nulls=learn_nulls(bare, parts), noise=learn_noise(bare, parts))


def _moments(values: Values) -> tuple[float, float, float, float]:
    """Bounds, and mean and deviation of the values within them; of no values at all, zeros."""
    numbers = np.asarray(values, dtype=float)
    numbers = numbers[np.isfinite(numbers)]
    if len(numbers) == 0:
        return 0.0, 0.0, 0.0, 0.0
    low, high = (float(value) for value in np.quantile(numbers, (0.005, 0.995)))
    bounded = np.clip(numbers, low, high)
    return low, high, float(bounded.mean()), float(bounded.std())


def _curve(bins: Bins, code: NDArray[np.int64], given: Floats) -> tuple[float, ...]:
    """The mean contribution in each bin, drawn a little to the overall mean. A bin never seen is as far off as any."""
    rows = np.bincount(code, minlength=bins.size)
    total = np.bincount(code, weights=given, minlength=bins.size)
    mean, weight = float(given.mean()), 5.0
    curve = (total + weight * mean) / (rows + weight)
    farthest = curve[np.argmax(np.abs(curve - mean))]
    return tuple(np.where(rows > 0, curve, farthest).tolist())


def _performance(quiet: Quiet, chunks: NDArray[np.int64]) -> tuple[Performance | None, dict[Statistic, Null]]:
    known = np.isfinite(quiet.label) & np.isfinite(quiet.output) if len(quiet.label) else np.zeros(0, dtype=bool)
    if known.sum() < _BLOCK_ROWS:
        return None, {}
    truth, output, chunk = quiet.label[known], quiet.output[known], chunks[known]
    whole = performance_of(truth, output)
    seen: dict[Statistic, list[tuple[float, float]]] = {"roc_auc": [], "log_loss": []}
    for number in range(int(chunk.max()) + 1):
        mine = chunk == number
        if mine.sum() < 2:
            continue
        part = performance_of(truth[mine], output[mine])
        for statistic, value in worsening(whole, part).items():
            seen[statistic].append((value**2, part.n))
    return whole, {statistic: significance.learn(found, base=1.0) for statistic, found in seen.items() if found}


def worsening(reference: Performance, current: Performance) -> dict[Statistic, float]:
    """By how many of its standard errors each metric is worse than in the reference; below 0 it is better."""
    found: dict[Statistic, float] = {}
    if reference.roc_auc is not None and current.roc_auc is not None and current.error:
        found["roc_auc"] = (reference.roc_auc - current.roc_auc) / current.error
    if current.log_loss_deviation > 0:
        error = current.log_loss_deviation / current.n**0.5
        found["log_loss"] = (current.log_loss - reference.log_loss) / error
    return found
