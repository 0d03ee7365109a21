"""Endpoints, their traffic and predictions, and rollouts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import msgspec
from markupsafe import Markup

from everloop.kernel.usecase import Json
from everloop.loop.entities import Candidate, Trace
from everloop.monitoring.entities import Alert, WindowReport
from everloop.rollouts.entities import Canary, Evidence, Rollout, RolloutStep
from everloop.server.pages import links, performance
from everloop.server.pages.charts import Chart, Point, Series, line_chart, month_ticks
from everloop.server.pages.site import Page, Visit
from everloop.server.pages.traffic import history_line, traffic_bar
from everloop.serving.configuration import Configuration, Resources
from everloop.serving.entities import Deployment, Endpoint, LogPolicy, PredictionRecord, TrafficChange

SHOWN = 25
"""Predictions on a page."""


class ListedEndpoint(msgspec.Struct, frozen=True):
    """An endpoint in the list."""

    endpoint: Endpoint
    split: Markup


class EndpointsPage(msgspec.Struct, frozen=True):
    """Every endpoint."""

    listed: Sequence[ListedEndpoint]


class Move(msgspec.Struct, frozen=True):
    """A move of the traffic in words."""

    change: TrafficChange
    told: str


class EndpointPage(msgspec.Struct, frozen=True):
    """An endpoint with its deployments, rollouts, history and newest predictions."""

    endpoint: Endpoint
    urn: str
    split: Markup
    deployments: Sequence[Deployment]
    shares: dict[int, str]
    set: dict[int, dict[str, str]]
    log: dict[str, str]
    rollouts: Sequence[Rollout]
    moves: Sequence[Move]
    predictions: Sequence[PredictionRecord]
    volume: Markup | None
    monitored: bool


class PredictionsPage(msgspec.Struct, frozen=True):
    """Predictions, newest first."""

    endpoint: str
    predictions: Sequence[PredictionRecord]
    older: str
    paged: bool


class PredictionPage(msgspec.Struct, frozen=True):
    """A prediction: what was asked, what was answered, and where the answer came from."""

    prediction: PredictionRecord
    urn: str
    views: dict[str, dict[str, float | str | None]]
    trace: Trace
    rollouts: Sequence[Rollout]
    alerts: Sequence[Alert]


class Test(msgspec.Struct, frozen=True):
    """A guard's sequential test: how far its evidence has come (1 is where it stops the challenger)."""

    guard: str
    p_value: float


class RolloutPage(msgspec.Struct, frozen=True):
    """A rollout with the evidence of each of its moves."""

    rollout: Rollout
    urn: str
    versions: dict[int, int]
    strategy: str
    hold: timedelta
    steps: Sequence[RolloutStep]
    chart: Markup
    tests: Sequence[Test]
    candidate: Candidate | None


def endpoints(visit: Visit) -> Page:
    """The list of endpoints."""
    listed = [
        ListedEndpoint(each, traffic_bar(each, visit.ask("endpoints.deployments", name=each.name)))
        for each in visit.ask("endpoints.list")
    ]
    return Page("endpoints.html", "Endpoints", EndpointsPage(listed))


def endpoint(visit: Visit) -> Page:
    """An endpoint."""
    found: Endpoint = visit.ask("endpoints.get", name=visit.path["name"])
    deployments: list[Deployment] = visit.ask("endpoints.deployments", name=found.name)
    versions = {each.revision: each.version for each in deployments}
    moves: list[TrafficChange] = visit.ask("endpoints.traffic_history", name=found.name)
    reports: list[WindowReport] = visit.ask("monitors.reports", endpoint=found.name, limit=120)
    it = EndpointPage(
        endpoint=found,
        urn=f"endpoint:{visit.project}/{found.name}",
        split=traffic_bar(found, deployments),
        deployments=deployments[::-1],
        shares={
            each.deployment: "shadow" if each.role == "shadow" else f"{each.percent:g} %" for each in found.traffic
        },
        set={
            each.revision: _unlike(each.configuration, Configuration()) | _unlike(each.resources, Resources())
            for each in deployments
        },
        log=_unlike(found.log, LogPolicy()),
        rollouts=visit.ask("rollouts.list", endpoint=found.name, limit=50),
        moves=[Move(each, history_line(each.traffic, versions)) for each in moves[:30]],
        predictions=visit.ask("endpoints.predictions", name=found.name, limit=12),
        volume=performance.volume(sorted(reports, key=lambda report: report.start)) if reports else None,
        monitored=bool(reports),
    )
    return Page("endpoint.html", found.name, it)


def _unlike(settings: msgspec.Struct, default: msgspec.Struct) -> dict[str, str]:
    """What was set, by its name in words; what is as it is by default is left out."""
    usual = msgspec.to_builtins(default)
    return {
        name.replace("_", " "): _in_words(value)
        for name, value in msgspec.to_builtins(settings).items()
        if value != usual[name]
    }


def _in_words(value: Json) -> str:
    """A value as text that can be broken into lines."""
    if isinstance(value, dict):
        return ", ".join(f"{name.replace('_', ' ')} {_in_words(each)}" for name, each in value.items() if each != "")
    if isinstance(value, list):
        return "; ".join(_in_words(each) for each in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def predictions(visit: Visit) -> Page:
    """Predictions of an endpoint; `?before=` pages."""
    name, before = visit.path["name"], visit.query.get("before", "")
    found: list[PredictionRecord] = visit.ask("endpoints.predictions", name=name, limit=SHOWN, before=before)
    older = links.path("endpoints", name, "predictions", before=found[-1].id) if len(found) == SHOWN else ""
    return Page("predictions.html", f"Predictions of {name}", PredictionsPage(name, found, older, bool(before)))


def prediction(visit: Visit) -> Page:
    """One prediction."""
    name = visit.path["name"]
    found: PredictionRecord = visit.ask("endpoints.prediction", name=name, id=visit.path["id"])
    views: dict[str, dict[str, float | str | None]] = {}
    for column, value in found.features.items():
        view, dot, feature = column.partition(".")
        views.setdefault(view if dot else "request", {})[feature if dot else column] = value
    rollouts: list[Rollout] = visit.ask("rollouts.list", endpoint=name, limit=1000)
    alerts: list[Alert] = visit.ask("monitors.alerts", endpoint=name, limit=1000)
    it = PredictionPage(
        prediction=found,
        urn=f"prediction:{visit.project}/{name}@{found.id}",
        views=views,
        trace=visit.ask("loops.trace", what=_answering(visit, found)),
        rollouts=[each for each in rollouts if each.started <= found.at <= (each.ended or found.at)],
        alerts=[each for each in alerts if each.window <= found.at <= each.last_seen],
    )
    return Page("prediction.html", f"Prediction for {found.key or found.id}", it)


def _answering(visit: Visit, found: PredictionRecord) -> str:
    """What answered: a deployment, or a fallback, of which only the prediction tells."""
    return f"deployment:{visit.project}/{found.endpoint}@{found.deployment}" if found.deployment else found.id


def rollout(visit: Visit) -> Page:
    """A rollout."""
    found: Rollout = visit.ask("rollouts.get", id=visit.path["id"])
    deployments: list[Deployment] = visit.ask("endpoints.deployments", name=found.endpoint)
    steps: list[RolloutStep] = visit.ask("rollouts.history", id=found.id)
    it = RolloutPage(
        rollout=found,
        urn=f"rollout:{visit.project}/{found.id}",
        versions={each.revision: each.version for each in deployments},
        strategy=_told(found),
        hold=found.strategy.hold,
        steps=steps,
        chart=_climb(steps),
        tests=_tests(found.evidence),
        candidate=_candidate(visit, found.id),
    )
    return Page("rollout.html", f"Rollout of v{found.version} on {found.endpoint}", it)


def _told(rollout: Rollout) -> str:
    strategy = rollout.strategy
    if isinstance(strategy, Canary):
        return "canary, " + " → ".join(f"{step:g} %" for step in (*strategy.steps, 100.0))
    return type(strategy).__name__


def _climb(steps: Sequence[RolloutStep]) -> Markup:
    """The challenger's share over time, as stairs."""
    points: list[Point] = []
    for step in steps:
        x = step.at.timestamp()
        if points:
            points.append(Point(x, points[-1].y, points[-1].text))
        points.append(Point(x, step.percent, f"{step.at:%Y-%m-%d %H:%M}: {step.percent:g} %"))
    ticks = month_ticks(points[0].x, points[-1].x) if points else []
    zero = [Point(points[0].x, 0.0, "start")] if points else []
    return line_chart(
        Chart(title="Percentage of units that meet the challenger", series=[Series("", zero + points)], ticks=ticks)
    )


def _tests(evidence: Evidence) -> list[Test]:
    """What the guards' sequential tests say: a p-value that holds however often one looks."""
    from math import exp

    return [Test(guard, min(1.0, exp(-peak))) for guard, peak in evidence.peaks.items()]


def _candidate(visit: Visit, rollout: str) -> Candidate | None:
    found: list[Candidate] = [
        candidate
        for loop in visit.asked_or([], "loops.list")
        for candidate in visit.ask("loops.candidates", name=loop.name, limit=1000)
        if candidate.rollout == rollout
    ]
    return found[0] if found else None
