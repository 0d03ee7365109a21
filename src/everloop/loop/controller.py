"""The controller: what happens to a loop at one moment.

A tick reads what has come, closes the monitor's windows, and then takes the open candidate as far as it can go, or asks
the triggers for a new one. What it decides stands in the catalog before it acts on it, so that a tick after a crash
goes on where the last one died; what it remembers between ticks follows from the logs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from weakref import WeakKeyDictionary

from everloop.catalog.session import Session
from everloop.datasets import service as datasets
from everloop.kernel.errors import InvalidInput, NotFound
from everloop.kernel.ports import Ports
from everloop.loop import candidates as states
from everloop.loop import service
from everloop.loop.candidates import Outline
from everloop.loop.entities import (
    BY_HAND,
    FIRST,
    OPEN,
    Candidate,
    Every,
    Loop,
    NewData,
    PerformanceDrop,
    TickReport,
    Trigger,
)
from everloop.loop.limits import held_back
from everloop.loop.progress import Errand
from everloop.loop.references import contributions_of, reference_of
from everloop.loop.triggers import Observation, first_fired
from everloop.loop.watch import KEPT_WINDOWS, Feed, News, Watch
from everloop.monitoring import service as monitors
from everloop.monitoring.attribution import Contributions
from everloop.monitoring.entities import WindowReport
from everloop.monitoring.window import WindowMonitor
from everloop.registry import service as models
from everloop.registry.entities import Alias
from everloop.registry.save import load_model
from everloop.serving import service as endpoints

AGAIN = timedelta(days=1)
"""A loop whose first model could not be made tries again after this time."""


@dataclass
class Memory:
    """What a controller remembers of a loop; `compared` is the version whose holdout windows are compared with."""

    watch: Watch
    compared: int = 0


_memories: WeakKeyDictionary[Ports, dict[tuple[str, str], Memory]] = WeakKeyDictionary()
"""Of each open platform, by project and loop."""


@dataclass
class Tick:
    """One moment of a loop."""

    session: Session
    loop: Loop
    now: datetime
    actions: list[str] = field(default_factory=list)
    trigger: str = ""
    held_back: str = ""

    def run(self) -> TickReport:
        """Look, report, act; the report says what happened."""
        memory = self._memory()
        news = memory.watch.look(self.now) if memory else News()
        alerts = self._report(news.reports)
        with self.session.begin(write=False) as unit:
            made = states.outlines(unit, self.loop.name)
            candidate = states.get(unit, made[0].id) if made and made[0].status in OPEN else None
            champion = _champion(unit, self.loop)
        if memory and champion:
            self._compare(memory, champion)
        if candidate is None:
            candidate = self._first(made) if champion is None else self._ask(memory, champion, made, news)
        if candidate is not None:
            candidate = self._go_on(memory, candidate)
        monitors.deliver(self.session)
        return TickReport(
            loop=self.loop.name,
            at=self.now,
            predictions=news.predictions,
            labels=news.labels,
            windows=len(news.reports),
            alerts=alerts,
            trigger=self.trigger,
            held_back=self.held_back,
            candidate=candidate,
            actions=tuple(self.actions),
        )

    def _go_on(self, memory: Memory | None, candidate: Candidate) -> Candidate:
        errand = Errand(self.session, self.loop, memory.watch if memory else None, candidate, self.actions)
        after = errand.run()
        if after.status == "promoted" and (memory := memory or self._memory()):
            with self.session.begin(write=False) as unit:
                champion = _champion(unit, self.loop)
            if champion:
                self._compare(memory, champion)
        return after

    def _memory(self) -> Memory | None:
        """What is remembered of the loop, rebuilt when nothing is; nothing before the endpoint is made."""
        held = _memories.setdefault(self.session.ports, {})
        key = (self.session.project, self.loop.name)
        if key not in held:
            with self.session.begin(write=False) as unit:
                made = any(one.name == self.loop.endpoint for one in endpoints.list_endpoints(unit))
            if made:
                held[key] = self._rebuilt()
        return held.get(key)

    def _rebuilt(self) -> Memory:
        """A watch over the logs from their beginning; windows that were reported for good are not reported again."""
        name = self.loop.endpoint
        with self.session.begin(write=False) as unit:
            references = monitors.references(unit, name)
            definition = monitors.definition(unit, name)
            reported = monitors.reports(unit, name, KEPT_WINDOWS)
            last = next(iter(monitors.reports(unit, name, 1, final=True)), None)
        compared = references[-1].model_version if references else 0
        contributions = self._contributions(compared) if compared else None
        monitor = WindowMonitor(name, references, definition, contributions, last)
        feed = Feed(self.session.home, self.session.project, name)
        return Memory(Watch(feed, monitor, reported), compared)

    def _report(self, reports: Sequence[WindowReport]) -> int:
        """Keep the reports of windows; how many alerts they opened."""
        if not reports:
            return 0
        with self.session.begin() as unit:
            opened = [alert for report in reports for alert in monitors.observe(unit, report.endpoint, report)]
        self.actions += [f"Alert: {alert.summary}" for alert in opened if alert.severity == "critical"]
        return len(opened)

    def _compare(self, memory: Memory, champion: Alias) -> None:
        """Compare windows with the champion's own holdout, from its promotion on."""
        if champion.version == memory.compared:
            return
        memory.compared = champion.version
        with self.session.begin(write=False) as unit:
            version = models.version(unit, self.loop.model, champion.version)
        contributions = self._contributions(champion.version)
        try:
            reference = reference_of(self.session, self.loop, version.trained, contributions, champion.version)
        except (NotFound, InvalidInput) as error:
            self.actions.append(f"Version {champion.version} gives no reference to monitor by: {error.message}")
            return
        with self.session.begin() as unit:
            kept = monitors.set_reference(unit, self.loop.endpoint, reference)
        memory.watch.compare_with(kept, contributions)

    def _contributions(self, version: int) -> Contributions | None:
        with self.session.begin(write=False) as unit:
            found = models.version(unit, self.loop.model, version)
        return contributions_of(load_model(self.session, found.trained))

    def _ask(self, memory: Memory | None, champion: Alias, made: Sequence[Outline], news: News) -> Candidate | None:
        """A new candidate, when a trigger fires within the limits. What windows say is asked for when one has ended."""
        due = [one for one in self.loop.triggers if news.reports or isinstance(one, Every | NewData)]
        if not due or memory is None:
            return None
        self.trigger, reason = first_fired(due, self._seen(due, memory.watch, champion, made))
        if not reason:
            return None
        self.held_back = held_back(self.loop.limits, self.now, states.attempts_of(made))
        return None if self.held_back else self._propose(self.trigger, reason)

    def _first(self, made: Sequence[Outline]) -> Candidate | None:
        """The first candidate of all; when it could not be made, another one a day later."""
        tried = next((one.created for one in made if one.trigger == FIRST), None)
        if tried is not None and self.now - tried < AGAIN:
            self.held_back = f"The first model could not be made; the next try is at {tried + AGAIN:%Y-%m-%d %H:%M}."
            return None
        self.trigger = FIRST
        return self._propose(FIRST, "There is no champion yet.")

    def _propose(self, trigger: str, reason: str) -> Candidate:
        loop = self.loop
        self.actions.append(f"Retraining ({trigger}): {reason}")
        with self.session.begin() as unit:
            candidate = Candidate(
                id=unit.new_id(),
                loop=loop.name,
                model=loop.model,
                status="proposed",
                trigger=trigger,
                reason=reason,
                pipeline=loop.pipeline,
                arguments={"until": self.now.isoformat()},
                created=self.now,
            )
            return states.propose(unit, candidate)

    def _seen(self, due: Sequence[Trigger], watch: Watch, champion: Alias, made: Sequence[Outline]) -> Observation:
        by_itself = [one.created for one in made if one.trigger != BY_HAND]
        since = max([champion.moved, *by_itself])
        return Observation(
            now=self.now,
            since=since,
            champion_since=champion.moved,
            windows=watch.windows,
            outcomes=watch.outcomes,
            mature=self.loop.label.within,
            reference=self._reference(champion) if any(isinstance(one, PerformanceDrop) for one in due) else {},
            rows=self._grown(since),
        )

    def _reference(self, champion: Alias) -> dict[str, float]:
        """The champion's metrics when it was promoted: on its holdout, as its gates measured them."""
        with self.session.begin(write=False) as unit:
            candidate = states.of_version(unit, self.loop.name, champion.version)
            if candidate is not None and candidate.measured:
                return candidate.measured
            return models.version(unit, self.loop.model, champion.version).trained.metrics

    def _grown(self, since: datetime) -> dict[str, int]:
        """By how many rows the datasets that triggers name have grown since a time."""
        names = {trigger.dataset for trigger in self.loop.triggers if isinstance(trigger, NewData)}
        if not names:
            return {}
        with self.session.begin(write=False) as unit:
            logs = {name: datasets.log(unit, name) for name in names}
        return {
            name: log[0].rows - next((one.rows for one in log if one.created <= since), 0) for name, log in logs.items()
        }


def tick(session: Session, name: str) -> TickReport:
    """One moment of a loop; see `loops.tick`."""
    with session.begin(write=False) as unit:
        loop = service.get(unit, name).declaration
    try:
        return Tick(session, loop, session.clock.now()).run()
    except BaseException:
        forget(session, name)  # What was read may not have been reported.
        raise


def forget(session: Session, name: str) -> None:
    """Begin a new watch over the logs with the next tick."""
    _memories.get(session.ports, {}).pop((session.project, name), None)


def _champion(unit: Session, loop: Loop) -> Alias | None:
    try:
        known = models.aliases(unit, loop.model)
    except NotFound:
        return None
    return next((alias for alias in known if alias.alias == models.CHAMPION), None)
