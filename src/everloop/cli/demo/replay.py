"""The year goes by: flights are asked about over HTTP, delays become known, the controller does its work."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, Protocol

import msgspec

from everloop.cli.demo.children import Child
from everloop.cli.demo.narrator import Narrator
from everloop.features.entities import PinnedFeatures
from everloop.kernel.clock import SharedClock, from_micros
from everloop.kernel.errors import Unavailable
from everloop.loop.entities import Candidate, TickReport
from everloop.serving.entities import Label

if TYPE_CHECKING:
    from everloop.app.platform import Platform
    from everloop.features.online import Changes, Materializer

TICK = timedelta(hours=6)
"""How much simulated time passes between two ticks of the controller, counted from the beginning of the replay."""
ATTEMPTS = 200


class Known(Protocol):
    """Labels that became known, in order."""

    keys: list[str]
    values: list[float]
    at: list[int]


class Moment(Protocol):
    """What is asked at one moment."""

    at: datetime
    request: dict[str, list[str | None] | list[float]]


class Plant(Protocol):
    """A bad candidate to propose once a time has come: the pipeline that makes it, and the reason that is given."""

    at: datetime
    pipeline: str
    reason: str
    skip_gates: bool


class World(Protocol):
    """The world outside, which asks and later tells."""

    begins: datetime

    def hours(self, since: datetime) -> Iterable[Moment]:
        """Every moment from then on at which something is asked."""
        ...

    def known(self, after: datetime, until: datetime) -> Known:
        """What became known between two moments."""
        ...


class Asker:
    """The outside world's side of the endpoint: it asks and tells, again and with the same ids when nobody answers.

    One kept-alive connection of the standard library: a request costs a tenth of what a full-grown client takes.
    """

    def __init__(self, endpoint: Child, model: str) -> None:
        self._endpoint = endpoint
        self._infer = f"/v2/models/{model}/infer"
        self._connection = HTTPConnection("127.0.0.1", endpoint.port, timeout=60.0)

    def ask(self, moment: Moment, meanwhile: Callable[[], object]) -> int:
        """Ask about every unit of a moment in one request; how many predictions came back.

        `meanwhile` is called while the endpoint works: once, or again when it had to be asked again.
        """
        rows = len(next(iter(moment.request.values())))
        inputs = [_tensor(name, values, rows) for name, values in moment.request.items()]
        answer = self._post(self._infer, {"id": f"{moment.at:%Y%m%dT%H%M}", "inputs": inputs}, meanwhile)
        return int(msgspec.json.decode(answer)["outputs"][0]["shape"][0])

    def tell(self, known: Known) -> None:
        """Tell the labels that have become known."""
        told = zip(known.keys, known.values, known.at, strict=True)
        labels = [Label(key, value, from_micros(at)) for key, value, at in told]
        if labels:
            self._post("/feedback", {"labels": labels})

    def refresh(self) -> None:
        """Let the endpoint see a change of its traffic now rather than in half a second."""
        self._post("/refresh", {})

    def _post(self, path: str, body: object, meanwhile: Callable[[], object] = lambda: None) -> bytes:
        content = msgspec.json.encode(body)
        refusal = ""
        for _ in range(ATTEMPTS):
            try:
                self._connection.request("POST", path, content, {"Content-Type": "application/json"})
                meanwhile()
                answer = self._connection.getresponse()
                text = answer.read()
            except (OSError, HTTPException):
                self._connection.close()
                self._endpoint.ready()
                continue
            if answer.status == 503:
                refusal = f" Its last words: {text[:500].decode(errors='replace')}"
                time.sleep(0.05)
                continue
            return _checked(path, answer.status, text)
        raise Unavailable(
            f"The endpoint at {self._endpoint.url} does not answer.{refusal}", hint="See the home's logs/endpoint.log."
        )


class Ahead:
    """The moments of a replay, each with what the online store has to be told for it.

    The next one is made ready while the endpoint answers the one before; it is written when its time has come.
    """

    def __init__(self, moments: Iterable[Moment], materializer: Materializer) -> None:
        self._moments = iter(moments)
        self._materializer = materializer
        self._ready: tuple[Moment, Changes] | None = None

    def prepare(self) -> None:
        """Make the next moment ready, if it is not and there is one."""
        if self._ready is None and (moment := next(self._moments, None)) is not None:
            self._ready = (moment, self._materializer.changes(moment.at))

    def __iter__(self) -> Iterator[tuple[Moment, Changes]]:
        """Every moment, in order."""
        while True:
            self.prepare()
            ready, self._ready = self._ready, None
            if ready is None:
                return
            yield ready


class Replay:
    """One year through the endpoint, from wherever the shared clock stands: a replay that was killed goes on.

    It comes to the same end as one that was not: ticks happen at the same moments, one that was interrupted again.
    `beside` is what runs along and is started again when it has died.
    """

    def __init__(
        self, platform: Platform, clock: SharedClock, asker: Asker, narrator: Narrator, beside: Sequence[Child] = ()
    ) -> None:
        self._platform = platform
        self._clock = clock
        self._asker = asker
        self._narrator = narrator
        self._beside = beside

    def run(self, world: World, pinned: PinnedFeatures, plants: Sequence[Plant], loop: str) -> None:
        """Replay from now to the last question, planting bad candidates as their time comes."""
        from everloop.features.online import Materializer

        materializer = Materializer(self._platform.session(), pinned)
        next_tick = self._next_tick(world)
        done = 0
        # What was told last before a kill is not known: the last day is told again, which changes nothing.
        told = self._clock.now() - timedelta(days=1)
        ahead = Ahead(world.hours(self._clock.now()), materializer)
        for moment, changes in ahead:
            while next_tick <= moment.at:
                self._clock.advance(next_tick)
                self._asker.tell(world.known(told, next_tick))
                self.tick(loop, plants)
                told, next_tick = next_tick, next_tick + TICK
            self._clock.advance(moment.at)
            materializer.write(changes)
            done += self._asker.ask(moment, meanwhile=ahead.prepare)
            self._narrator.advance(done, f"{moment.at:%d %B}")

    def settle(self, world: World, loop: str, until: datetime) -> None:
        """After the last question: the late labels come in, and the loop finishes what it has begun."""
        told, next_tick = self._clock.now() - timedelta(days=1), self._next_tick(world)
        while next_tick <= until:
            self._clock.advance(next_tick)
            self._asker.tell(world.known(told, next_tick))
            self.tick(loop, ())
            told, next_tick = next_tick, next_tick + TICK

    def tick(self, loop: str, plants: Sequence[Plant]) -> None:
        """One moment of the controller."""
        for child in self._beside:
            child.start()
        self._plant(loop, plants)
        report: TickReport = self._platform.call("loops.tick", {"name": loop})
        for action in report.actions:
            self._narrator.say(f"  [dim]{self._clock.now():%Y-%m-%d %H:%M}[/dim]  {action}")
        if report.actions:
            self._asker.refresh()

    def _next_tick(self, world: World) -> datetime:
        """When the controller is to tick next: now, when it may have been killed in the tick of this very moment."""
        ticks = -((world.begins - self._clock.now()) // TICK)
        return world.begins + max(1, ticks) * TICK

    def _plant(self, loop: str, plants: Sequence[Plant]) -> None:
        due = [plant for plant in plants if plant.at <= self._clock.now()]
        if not due:
            return
        candidates: list[Candidate] = self._platform.call("loops.candidates", {"name": loop})
        if any(candidate.ended is None for candidate in candidates):
            return
        reasons = {candidate.reason for candidate in candidates}
        for plant in due:
            if plant.reason not in reasons:
                self._propose(loop, plant)
                return

    def _propose(self, loop: str, plant: Plant) -> None:
        now = self._clock.now()
        self._narrator.say(f"  [dim]{now:%Y-%m-%d %H:%M}[/dim]  planting a bad candidate: {plant.reason}")
        arguments = {"name": plant.pipeline, "arguments": {"until": now.isoformat()}}
        execution = self._platform.call("pipelines.run", arguments)
        proposal = {"name": loop, "execution": execution.id, "reason": plant.reason, "skip_gates": plant.skip_gates}
        self._platform.call("loops.propose", proposal)


def _tensor(name: str, values: list[str | None] | list[float], rows: int) -> dict[str, object]:
    if isinstance(values[0], float):
        return {"name": name, "shape": [rows], "datatype": "FP64", "data": values}
    return {"name": name, "shape": [rows], "datatype": "BYTES", "data": [value or "" for value in values]}


def _checked(path: str, status: int, text: bytes) -> bytes:
    if status < 300:
        return text
    shown = text[:500].decode(errors="replace")
    raise Unavailable(f"The endpoint answered {path} with {status}: {shown}", hint="See the home's logs/endpoint.log.")
