"""The overview: the loop as a picture of its stages, and how well it does."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from markupsafe import Markup

from everloop.catalog.entities import ChainReport, LedgerEntry
from everloop.datasets.entities import Dataset, Snapshot
from everloop.datasets.quality.entities import CheckReport
from everloop.features.entities import AppliedService, columns_of
from everloop.loop.entities import AppliedLoop, Candidate, LoopStatus
from everloop.monitoring.entities import Alert, WindowReport
from everloop.pipelines.entities import Execution
from everloop.registry.entities import RegisteredModel
from everloop.rollouts.entities import Rollout
from everloop.server.pages import links, performance
from everloop.server.pages.ledger import Line, lines
from everloop.server.pages.site import Page, Visit
from everloop.server.pages.traffic import traffic_bar
from everloop.server.pages.words import day, duration, number, spoken
from everloop.serving.entities import Deployment, Endpoint

WINDOWS = 400
"""So many of the newest windows are drawn: a year and a month of days."""
EVENTS, LOOKED_AT = 12, 300
"""So many events are shown, out of so many of the newest entries."""
NOISE = ("runs.", "pipelines.", "experiments.")
"""What is left out of the events as long as there is anything else."""


class Stage(msgspec.Struct, frozen=True):
    """A stage of the loop as it stands: one thing in bold, one below, and whether all is well."""

    name: str
    link: str
    state: str
    detail: str
    tone: str = ""


class Tile(msgspec.Struct, frozen=True):
    """A figure that leads on."""

    label: str
    figure: str
    note: str
    link: str
    tone: str = ""


class Overview(msgspec.Struct, frozen=True):
    """Everything that the first page shows."""

    stages: Sequence[Stage]
    closing: str
    tiles: Sequence[Tile]
    chart: Markup | None
    split: Markup | None
    endpoint: Endpoint | None
    candidates: Sequence[Candidate]
    loop: AppliedLoop | None
    others: Sequence[AppliedLoop]
    events: Sequence[Line]
    fresh: bool


class Facts(msgspec.Struct, frozen=True):
    """What was asked for the overview."""

    datasets: Sequence[Dataset]
    data: Snapshot | None
    checks: Sequence[CheckReport]
    services: Sequence[AppliedService]
    executions: Sequence[Execution]
    models: Sequence[RegisteredModel]
    loop: AppliedLoop | None
    status: LoopStatus | None
    candidates: Sequence[Candidate]
    endpoint: Endpoint | None
    deployments: Sequence[Deployment]
    rollouts: Sequence[Rollout]
    reports: Sequence[WindowReport]
    alerts: Sequence[Alert]


def overview(visit: Visit) -> Page:
    """The page at `/`; `?loop=` chooses among several loops."""
    loops: list[AppliedLoop] = visit.ask("loops.list")
    wanted = visit.query.get("loop", "")
    loop = next((each for each in loops if each.name == wanted), loops[0] if loops else None)
    facts = _gathered(visit, loop)
    entries: list[LedgerEntry] = visit.ask("audit.entries", limit=LOOKED_AT)
    chain: ChainReport = visit.ask("audit.verify")
    marks = performance.marks_of(facts.candidates)
    it = Overview(
        stages=_stages(facts),
        closing=_closing(facts),
        tiles=_tiles(facts, chain),
        chart=performance.roc_auc(facts.reports, marks) if facts.reports else None,
        split=traffic_bar(facts.endpoint, facts.deployments) if facts.endpoint else None,
        endpoint=facts.endpoint,
        candidates=facts.candidates[:6],
        loop=loop,
        others=[each for each in loops if each is not loop],
        events=lines(_telling(entries), visit.project),
        fresh=not (facts.datasets or facts.models or facts.endpoint or loops or facts.executions),
    )
    return Page("overview.html", "The loop", it)


def _telling(entries: Sequence[LedgerEntry]) -> Sequence[LedgerEntry]:
    """The entries that tell how the loop turns."""
    telling = [entry for entry in entries if not entry.kind.startswith(NOISE)]
    return (telling or entries)[:EVENTS]


def _gathered(visit: Visit, loop: AppliedLoop | None) -> Facts:
    datasets: list[Dataset] = visit.ask("datasets.list")
    endpoints: list[Endpoint] = visit.ask("endpoints.list")
    wanted = loop.declaration.endpoint if loop else ""
    endpoint = next((each for each in endpoints if each.name == wanted), None if loop else next(iter(endpoints), None))
    oldest = loop.declaration.label.source if loop else ""
    main = next((each for each in datasets if each.name == oldest), next(iter(datasets), None))
    watched = endpoint is not None
    return Facts(
        datasets=datasets,
        data=visit.ask("datasets.get", name=main.name) if main else None,
        checks=[report for each in datasets for report in visit.ask("datasets.checks", name=each.name)[:1]],
        services=visit.ask("features.services"),
        executions=visit.ask("pipelines.executions", limit=10),
        models=visit.ask("models.list"),
        loop=loop,
        status=visit.ask("loops.status", name=loop.name) if loop else None,
        candidates=visit.ask("loops.candidates", name=loop.name) if loop else [],
        endpoint=endpoint,
        deployments=visit.ask("endpoints.deployments", name=endpoint.name) if endpoint else [],
        rollouts=visit.ask("rollouts.list", endpoint=endpoint.name, limit=5) if endpoint else [],
        reports=visit.ask("monitors.reports", endpoint=endpoint.name, limit=WINDOWS) if endpoint else [],
        alerts=visit.ask("monitors.alerts", endpoint=endpoint.name, open_only=True) if watched and endpoint else [],
    )


def _stages(facts: Facts) -> list[Stage]:
    return [
        _data(facts),
        _features(facts),
        _training(facts),
        _gates(facts),
        _rollout(facts),
        _serving(facts),
        _monitoring(facts),
    ]


def _data(facts: Facts) -> Stage:
    if facts.data is None:
        return Stage("Data", "/datasets", "No data yet", "everloop add FILE")
    failed = sum(1 for report in facts.checks if not report.passed)
    warned = sum(1 for report in facts.checks for result in report.results if not result.passed)
    state = f"{failed} failed checks" if failed else f"{number(facts.data.rows)} rows"
    found = f", {warned} findings" if warned else ""
    return Stage("Data", "/datasets", state, f"{len(facts.datasets)} datasets{found}", "bad" if failed else "good")


def _features(facts: Facts) -> Stage:
    if not facts.services:
        return Stage("Features", "/features", "No features yet", "everloop apply")
    columns = sum(len(columns_of(each.service)) for each in facts.services)
    views = {view.name for each in facts.services for view in each.service.views}
    return Stage("Features", "/features", f"{columns} features", f"of {len(views)} views, point in time", "good")


def _training(facts: Facts) -> Stage:
    last = next(iter(facts.executions), None)
    if last is None:
        return Stage("Training", "/pipelines", "Never run", "everloop run PIPELINE")
    tone = {"finished": "good", "failed": "bad"}.get(last.status, "warn")
    remembered = sum(step.hit for step in last.steps)
    state = {"finished": "Idle", "failed": "Failed"}.get(last.status, "Running")
    detail = f"{last.pipeline}, {remembered} of {len(last.steps)} remembered"
    return Stage("Training", links.path("executions", last.id), state, detail, tone)


def _gates(facts: Facts) -> Stage:
    judged = next((each for each in facts.candidates if each.gates), None)
    if judged is None:
        return Stage("Gates", "/loops", "Nothing judged", "declare a loop")
    passed = sum(gate.passed for gate in judged.gates)
    link = links.path("loops", judged.loop, "candidates", judged.number)
    every = passed == len(judged.gates)
    state = "All passed" if every else f"{passed} of {len(judged.gates)} passed"
    failed = next((spoken(gate.gate) for gate in judged.gates if not gate.passed), "")
    detail = f"{failed} stopped v{judged.version}" if failed else f"candidate v{judged.version}"
    return Stage("Gates", link, state, detail, "good" if every else "bad")


def _rollout(facts: Facts) -> Stage:
    last = next(iter(facts.rollouts), None)
    if last is None:
        return Stage("Rollout", "/endpoints", "None yet", "canary, blue-green, shadow")
    link = links.path("rollouts", last.id)
    if last.status == "running" and facts.endpoint is not None:
        part = sum(s.percent for s in facts.endpoint.traffic if s.deployment == last.challenger)
        return Stage(
            "Rollout", link, f"v{last.version} at {part:g} %", f"step {last.step + 1}, {last.units:,} units", "warn"
        )
    tone = "good" if last.status == "promoted" else "bad"
    return Stage("Rollout", link, f"v{last.version} {spoken(last.status)}", day(last.ended), tone)


def _serving(facts: Facts) -> Stage:
    if facts.endpoint is None:
        return Stage("Serving", "/endpoints", "No endpoint yet", "everloop endpoints create")
    stable = next((d.version for d in facts.deployments if d.revision == facts.endpoint.stable), 0)
    week = sum(report.rows for report in facts.reports[:7])
    detail = f"{week:,} predictions in the last 7 windows" if week else "no predictions reported yet"
    return Stage(
        "Serving", links.path("endpoints", facts.endpoint.name), f"{facts.endpoint.name} v{stable}", detail, "good"
    )


def _monitoring(facts: Facts) -> Stage:
    if not facts.reports or facts.endpoint is None:
        return Stage("Monitoring", "/monitors", "Nothing watched", "windows come with traffic")
    link = links.path("monitors", facts.endpoint.name)
    worst = {"critical": "bad", "warning": "warn", "info": "warn"}
    tone = next((worst[level] for level in worst if any(a.severity == level for a in facts.alerts)), "good")
    state = f"{len(facts.alerts)} open alerts" if facts.alerts else "No open alerts"
    return Stage("Monitoring", link, state, f"{len(facts.reports)} windows", tone)


def _closing(facts: Facts) -> str:
    """What leads from monitoring back to training."""
    if facts.loop is None:
        return "No loop is declared yet: its triggers would lead back to training."
    if facts.status is not None and facts.status.held_back:
        return f"Held back: {facts.status.held_back}"
    triggers = " or ".join(spoken(type(each).__name__).lower() for each in facts.loop.declaration.triggers)
    limits = facts.loop.declaration.limits
    pause = f", at least {duration(limits.cooldown)} apart" if limits.cooldown else ""
    return f"Retrains on {_TRIGGERS.get(triggers, triggers)}{pause}" if triggers else "Retrains only when asked to"


_TRIGGERS = {"performancedrop or drift or every": "a drop in performance, drift, or age"}


def _tiles(facts: Facts, chain: ChainReport) -> list[Tile]:
    tiles = []
    if facts.status is not None:
        model, champion = facts.status.loop.declaration.model, facts.status.champion
        link = (
            links.path("models", model, "versions", champion)
            if champion
            else links.path("loops", facts.status.loop.name)
        )
        since = f"since {day(facts.status.last_promotion)}" if facts.status.last_promotion else "not chosen yet"
        tiles.append(Tile("Champion", f"{model} v{champion}" if champion else "none", since, link))
        tiles.append(_candidate(facts.status))
    recent = performance.recent(facts.reports)
    if recent is not None and facts.endpoint is not None:
        link = links.path("monitors", facts.endpoint.name)
        tiles.append(Tile("ROC AUC, last 7 days", f"{recent[0]:.3f}", f"on {recent[1]:,} labels", link))
    if facts.status is not None:
        done = f"{facts.status.promoted} promoted, {facts.status.stopped} stopped"
        tiles.append(
            Tile("Candidates", str(facts.status.candidates), done, links.path("loops", facts.status.loop.name))
        )
    if facts.endpoint is not None:
        worst = "bad" if any(a.severity == "critical" for a in facts.alerts) else "warn" if facts.alerts else "good"
        note = "critical among them" if worst == "bad" else "none critical" if facts.alerts else "all quiet"
        tiles.append(
            Tile("Open alerts", str(len(facts.alerts)), note, links.path("monitors", facts.endpoint.name), worst)
        )
    note = "the chain is intact" if chain.intact else f"broken at {chain.first_broken}"
    tiles.append(Tile("Ledger", number(chain.entries), note, "/ledger", "good" if chain.intact else "bad"))
    return tiles


def _candidate(status: LoopStatus) -> Tile:
    candidate = status.candidate
    if candidate is None:
        return Tile("Open candidate", "none", "the loop rests", links.path("loops", status.loop.name))
    link = links.path("loops", candidate.loop, "candidates", candidate.number)
    figure = f"v{candidate.version}" if candidate.version else f"number {candidate.number}"
    return Tile("Open candidate", figure, spoken(candidate.status), link, "warn")
