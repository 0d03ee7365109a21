"""The recommendation: from what one worker sustained to replicas, requests, limits and cost."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from everloop.kernel.errors import InvalidInput, Refused
from everloop.packaging.sizing.entities import Cost, LoadPoint, ModelProfile, Price, Sizing

UTILIZATION = 0.7
SPARE = 1
MONTH_HOURS = 730
MOST_RATE, MOST_LATENCY_MS = 1e8, 600_000
PRICES = (
    Price("aws", 0.04048, 0.004445),
    Price("gcp", 0.0648, 0.0072),
    Price("azure", 0.0864, 0.0108),
)
"""Examples, to be replaced by your own: on-demand list prices of Fargate, Cloud Run and Container Apps as of 2025."""
_CORE = 1000
_LEAST_CPU, _CPU_STEP = 100, 50
_LEAST_MEMORY, _MEMORY_STEP = 64, 16
_REPLICAS_MOST = 100_000
_BUSY = 0.1


def check_target(rate: float, latency_ms: float) -> None:
    """Let a target through that means something.

    Raises:
        InvalidInput: the rate or the latency is none that a service has.
    """
    if not 0 < rate <= MOST_RATE:
        raise InvalidInput(f"The rate is {rate:g} requests a second.", hint="Say how many there are at the peak, > 0.")
    check_latency(latency_ms)


def check_latency(latency_ms: float) -> None:
    """Let a latency through that answers can have.

    Raises:
        InvalidInput: it is not above 0, or over ten minutes.
    """
    if not 0 < latency_ms <= MOST_LATENCY_MS:
        raise InvalidInput(f"The latency is {latency_ms:g} ms.", hint="Say what 99 of 100 requests must meet, > 0 ms.")


def sustained(points: Sequence[LoadPoint], latency_ms: float) -> float:
    """The highest rate of these that was served within a latency, with no rate below it that was not; 0 for none."""
    best = 0.0
    for point in sorted(points, key=lambda point: point.offered):
        if not holds(point, latency_ms):
            break
        best = point.offered
    return best


def holds(point: LoadPoint, latency_ms: float) -> bool:
    """Whether a load was served: nothing failed, and 99 of 100 answers came in time. What waits grows late."""
    return not point.errors and point.p99_ms <= latency_ms


def recommended(profile: ModelProfile, rate: float, latency_ms: float, prices: Sequence[Price] = ()) -> Sizing:
    """What to ask for.

    Raises:
        InvalidInput: the target means nothing.
        Refused: no number of replicas reaches the latency.
    """
    check_target(rate, latency_ms)
    best = sustained(profile.points, latency_ms)
    if not best:
        raise Refused(
            f"No number of replicas reaches {latency_ms:g} ms: {_alone(profile, latency_ms)}.",
            hint="Allow more latency, or make the model smaller.",
        )
    per_replica = best * UTILIZATION
    working = ceil(rate / per_replica)
    if working > _REPLICAS_MOST:
        raise Refused(f"{rate:g} requests a second take {working:,} replicas.", hint="Put a cache before the model.")
    cpu = _stepped(profile.cpu_us * rate / working / UTILIZATION / 1000, _LEAST_CPU, _CPU_STEP)
    memory = _stepped(profile.memory_mib * 1.1, _LEAST_MEMORY, _MEMORY_STEP)
    replicas = working + SPARE
    return Sizing(
        profile.model,
        profile.version,
        rate,
        latency_ms,
        round(best, 1),
        round(per_replica, 1),
        replicas,
        SPARE,
        min(cpu, _CORE),
        _CORE,
        memory,
        _stepped(profile.memory_mib * 1.5, memory, _MEMORY_STEP),
        0,
        tuple(_cost(price, replicas, min(cpu, _CORE), memory, rate) for price in prices or PRICES),
        tuple(_notes(profile, latency_ms)),
    )


def _cost(price: Price, replicas: int, cpu: int, memory: int, rate: float) -> Cost:
    hour = replicas * (cpu / 1000 * price.core_hour + memory / 1024 * price.memory_hour)
    return Cost(price.place, round(hour * MONTH_HOURS, 2), round(hour / 3600 / rate * 1e6, 4))


def _alone(profile: ModelProfile, latency_ms: float) -> str:
    if profile.alone.p99_ms > latency_ms:
        return (
            f"one request alone takes {profile.alone.p50_ms:.3g} ms, and 1 in 100 takes {profile.alone.p99_ms:.3g} ms"
        )
    least = min(profile.points, key=lambda point: point.offered)
    return f"already at {least.offered:.0f} requests a second 1 in 100 takes {least.p99_ms:.3g} ms"


def _notes(profile: ModelProfile, latency_ms: float) -> list[str]:
    found = []
    if profile.quick:
        found.append("It was measured quickly: measure it again without --quick before it is relied on.")
    last = max(profile.points, key=lambda point: point.offered)
    if holds(last, latency_ms):
        found.append("No higher rate was tried: the worker may sustain more.")
    if profile.machine.others > _BUSY:
        found.append(
            f"Other work took {profile.machine.others:.0%} of the machine meanwhile: measure it on a quiet one."
        )
    if profile.limited_by == "generator":
        found.append("The load could not be made any higher on this machine: the worker may sustain more.")
    return found


def _stepped(value: float, least: int, step: int) -> int:
    return max(least, ceil(value / step) * step)
