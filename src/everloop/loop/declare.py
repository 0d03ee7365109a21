"""What a project declares a loop with: `el.Loop`, `el.drift`, `el.better_than`, `el.Canary`, …

Spans of time are text here (`30d`, `20ms`) and `timedelta` in the entities that come out. Functions that read as the
noun that they declare carry its name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from everloop.kernel.durations import duration
from everloop.kernel.errors import InvalidInput
from everloop.loop import entities
from everloop.loop.entities import (
    BetterThan,
    ChecksPass,
    Drift,
    Every,
    Gate,
    Latency,
    Metric,
    ModelTests,
    NewData,
    NoSliceWorse,
    PackageScan,
    PerformanceDrop,
    Trigger,
)
from everloop.rollouts import entities as rollouts
from everloop.rollouts.decision import check as check_strategy
from everloop.rollouts.entities import BetterOrEqual, ErrorRate, Guard, MinimumLabels, Strategy


def Loop(
    *,
    model: str,
    pipeline: str | Callable[..., object],
    label: entities.Label,
    triggers: Sequence[Trigger] = (),
    gates: Sequence[Gate] = (),
    rollout: Strategy | None = None,
    limits: entities.Limits | None = None,
    name: str = "",
    endpoint: str = "",
) -> entities.Loop:
    """A loop around a model. Its own name and its endpoint's are the model's unless they are given.

    Raises:
        InvalidInput: a trigger, gate or limit cannot be right; it says which.
    """
    declared = entities.Loop(
        name=name or model,
        model=model,
        endpoint=endpoint or model,
        pipeline=pipeline if isinstance(pipeline, str) else _pipeline_name(pipeline),
        label=label,
        triggers=tuple(triggers),
        gates=tuple(gates),
        rollout=rollout or Canary(),
        limits=limits or entities.Limits(),
    )
    check(declared)
    return declared


def Label(expression: str, *, key: str = "", within: str = "1d", source: str = "", at: str = "") -> entities.Label:
    """How the truth about a prediction is told.

    >>> Label("arr_delay > 15", key="flight_id", within="24h").within
    datetime.timedelta(days=1)
    """
    return entities.Label(expression=expression, key=key, within=duration(within), source=source, at=at)


def Limits(*, cooldown: str = "0s", retrains_per_month: int = 0) -> entities.Limits:
    """What holds the loop back."""
    return entities.Limits(cooldown=duration(cooldown), retrains_per_month=retrains_per_month)


def drift(impact: float = 0.01, windows: int = 3) -> Drift:
    """Retrain when drift moves the model's output by so much, that many windows in a row."""
    return Drift(impact=impact, windows=windows)


def performance(
    metric: Metric = "roc_auc", drop: float = 0.03, over: str = "14d", minimum: int = 500
) -> PerformanceDrop:
    """Retrain when a metric over the last days is worse by `drop` than it was at promotion, with enough labels."""
    return PerformanceDrop(metric=metric, drop=drop, over=duration(over), minimum=minimum)


def every(period: str) -> Every:
    """Retrain when that much time has passed.

    >>> every("30d").period.days
    30
    """
    return Every(period=duration(period))


def new_data(dataset: str, rows: int = 1) -> NewData:
    """Retrain when a dataset has grown by so many rows."""
    return NewData(dataset=dataset, rows=rows)


def better_than(alias: str = "champion", metric: Metric = "roc_auc", alpha: float = 0.05) -> BetterThan:
    """Let only a challenger through that beats the version under an alias, with significance."""
    return BetterThan(alias=alias, metric=metric, alpha=alpha)


def no_slice_worse(column: str, by: float = 0.05, minimum: int = 200) -> NoSliceWorse:
    """Stop a challenger that is worse in some slice, however good it is on average."""
    return NoSliceWorse(column=column, by=by, minimum=minimum)


def latency(p99: str) -> Latency:
    """Stop a challenger that answers too slowly."""
    return Latency(p99=duration(p99))


def tests(path: str) -> ModelTests:
    """Stop a challenger that fails the project's behavioural tests."""
    return ModelTests(path=path)


def package_scan() -> PackageScan:
    """Stop a challenger whose files hold something unsafe."""
    return PackageScan()


def checks_pass(dataset: str) -> ChecksPass:
    """Stop a challenger that came from data which fails what is expected of it."""
    return ChecksPass(dataset=dataset)


def Canary(steps: Sequence[float] = (5, 25, 50), hold: str = "6h", guards: Sequence[Guard] = ()) -> rollouts.Canary:
    """Traffic in steps, each held until its guards agree."""
    return rollouts.Canary(steps=tuple(float(step) for step in steps), hold=duration(hold), guards=tuple(guards))


def BlueGreen(hold: str = "6h", guards: Sequence[Guard] = ()) -> rollouts.BlueGreen:
    """All traffic at once, with the version before in its shadow until the guards agree."""
    return rollouts.BlueGreen(hold=duration(hold), guards=tuple(guards))


def Shadow(hold: str = "24h", guards: Sequence[Guard] = ()) -> rollouts.Shadow:
    """No traffic: the challenger predicts beside the stable version until the guards agree."""
    return rollouts.Shadow(hold=duration(hold), guards=tuple(guards))


def error_rate(limit: float) -> ErrorRate:
    """Roll back when the challenger's share of failed predictions is above the limit."""
    return ErrorRate(limit=limit)


def better_or_equal(metric: rollouts.Loss = "log_loss", alpha: float = 0.05, margin: float = 0.0) -> BetterOrEqual:
    """Roll back when the challenger's loss on late labels is worse, by a test that may be looked at at any time."""
    return BetterOrEqual(metric=metric, alpha=alpha, margin=margin)


def minimum_labels(n: int) -> MinimumLabels:
    """Go no further before the challenger has so many labels."""
    return MinimumLabels(n=n)


def check(loop: entities.Loop) -> None:
    """Refuse a declaration that cannot work.

    Raises:
        InvalidInput: with everything that is wrong, not only the first.
    """
    problems = [problem for part in (*loop.triggers, *loop.gates) if (problem := _problem(part))]
    if loop.limits.retrains_per_month < 0 or loop.limits.cooldown.total_seconds() < 0:
        problems.append("Limits must not be negative.")
    try:
        check_strategy(loop.rollout)
    except InvalidInput as error:
        problems.append(error.message)
    if problems:
        raise InvalidInput(f"Loop {loop.name}: {' '.join(problems)}", hint="Mend its declaration and apply it again.")


def _problem(part: Trigger | Gate) -> str:
    match part:
        case Every(period=period) if period.total_seconds() <= 0:
            return "every() needs a period above zero."
        case Drift(impact=impact, windows=windows) if impact <= 0 or windows < 1:
            return f"drift() needs an impact above zero and at least one window, not {impact} and {windows}."
        case PerformanceDrop(drop=drop, over=over) if drop <= 0 or over.total_seconds() <= 0:
            return f"performance() needs a drop and a span above zero, not {drop} over {over}."
        case BetterThan(alpha=alpha) | NoSliceWorse(alpha=alpha) if not 0 < alpha < 1:
            return f"alpha is a probability between 0 and 1, not {alpha}."
        case Latency(p99=p99) if p99.total_seconds() <= 0:
            return "latency() needs a p99 above zero."
    return ""


def _pipeline_name(pipeline: Callable[..., object]) -> str:
    return str(getattr(pipeline, "name", None) or pipeline.__name__)
