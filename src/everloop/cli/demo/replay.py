"""The year goes by: hour by hour, flights are asked about over HTTP, delays become known, the controller does its work."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
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
    import httpx

    from everloop.app.platform import Platform

TICK = timedelta(hours=6)
"""How much simulated time passes between two ticks of the controller."""
ATTEMPTS = 200


class Known(Protocol):
    """Labels that became known, in order."""

    keys: list[str]
    values: list[float]
    at: list[int]


class Moment(Protocol):
    """What is asked at one moment, and what has become known before it."""

    at: datetime
    request: dict[str, list[str | None] | list[float]]
    labels: Known


class Plant(msgspec.Struct, frozen=True):
    """A bad candidate to propose once a time has come: the pipeline that makes it, and the reason that it is given."""

    at: datetime
    pipeline: str
    reason: str


class Asker:
    """The outside world's side of the endpoint: it asks and tells, and does it again with the same ids when nobody answers."""

    def __init__(self, endpoint: Child, model: str) -> None:
        import httpx

        self._endpoint = endpoint
        self._infer = f"/v2/models/{model}/infer"
        self._http = httpx.Client(timeout=60.0)

    def ask(self, moment: Moment) -> int:
        """Ask about every unit of a moment in one request; how many predictions came back."""
        rows = len(next(iter(moment.request.values())))
        inputs = [_tensor(name, values, rows) for name, values in moment.request.items()]
        answer = self._post(self._infer, {"id": f"{moment.at:%Y%m%dT%H%M}", "inputs": inputs})
        return int(msgspec.json.decode(answer)["outputs"][0]["shape"][0])

    def tell(self, known: Known) -> None:
        """Tell the labels that have become known."""
        labels = [Label(key, value, from_micros(at)) for key, value, at in zip(known.keys, known.values, known.at, strict=True)]
        if labels:
            self._post("/feedback", {"labels": labels})

    def refresh(self) -> None:
        """Let the endpoint see a change of its traffic now rather than in half a second."""
        self._post("/refresh", {})

    def _post(self, path: str, body: object) -> bytes:
        import httpx

        content = msgspec.json.encode(body)
        for _ in range(ATTEMPTS):
            try:
                answer = self._http.post(self._endpoint.url + path, content=content, headers={"Content-Type": "application/json"})
            except httpx.TransportError:
                self._endpoint.ready()
                continue
            if answer.status_code == 503:
                time.sleep(0.05)
                continue
            return _checked(answer)
        raise Unavailable(f"The endpoint at {self._endpoint.url} does not answer.", hint="Its log in the home's folder logs says why.")


class Replay:
    """One year through the endpoint, from wherever the shared clock stands: a replay that was killed goes on."""

    def __init__(self, platform: Platform, clock: SharedClock, asker: Asker, narrator: Narrator) -> None:
        self._platform = platform
        self._clock = clock
        self._asker = asker
        self._narrator = narrator

    def run(self, moments: Iterable[Moment], pinned: PinnedFeatures, plants: Sequence[Plant], loop: str) -> None:
        """Replay the moments, ticking the controller and planting bad candidates as their time comes."""
        from everloop.features.online import Materializer

        materializer = Materializer(self._platform.session(), pinned)
        tick_at = self._clock.now() + TICK
        done = 0
        for moment in moments:
            while tick_at <= moment.at:
                self._clock.advance(tick_at)
                self.tick(loop, plants)
                tick_at += TICK
            self._clock.advance(moment.at)
            self._asker.tell(moment.labels)
            materializer.advance(moment.at)
            done += self._asker.ask(moment)
            self._narrator.advance(done, f"{moment.at:%d %B}")

    def settle(self, last: Known, loop: str, days: int) -> None:
        """After the last question: the late labels come in, and the loop finishes what it has begun."""
        self._asker.tell(last)
        for _ in range(days * 4):
            self._clock.advance(self._clock.now() + TICK)
            self.tick(loop, ())

    def tick(self, loop: str, plants: Sequence[Plant]) -> None:
        """One moment of the controller."""
        self._plant(loop, plants)
        report: TickReport = self._platform.call("loops.tick", {"name": loop})
        for action in report.actions:
            self._narrator.say(f"  [dim]{self._clock.now():%Y-%m-%d %H:%M}[/dim]  {action}")
        if report.actions:
            self._asker.refresh()

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
                self._narrator.say(f"  [dim]{self._clock.now():%Y-%m-%d %H:%M}[/dim]  planting a bad candidate: {plant.reason}")
                arguments = {"until": self._clock.now().isoformat()}
                execution = self._platform.call("pipelines.run", {"name": plant.pipeline, "arguments": arguments})
                self._platform.call("loops.propose", {"name": loop, "execution": execution.id, "reason": plant.reason})
                return


def _tensor(name: str, values: list[str | None] | list[float], rows: int) -> dict[str, object]:
    if isinstance(values[0], float):
        return {"name": name, "shape": [rows], "datatype": "FP64", "data": values}
    return {"name": name, "shape": [rows], "datatype": "BYTES", "data": [value or "" for value in values]}


def _checked(answer: httpx.Response) -> bytes:
    if answer.is_success:
        return answer.content
    raise Unavailable(f"The endpoint refused {answer.url.path}: {answer.text[:500]}", hint="This is a fault of the demo.")
