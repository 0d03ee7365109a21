"""The journey of the demo: a home, data, checks, a first model, an endpoint, the year, and the account of it."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from textwrap import shorten
from typing import Any

import msgspec

from everloop.app import project
from everloop.app import settings as settings_file
from everloop.app.examples import example_folder
from everloop.app.platform import Platform, open_platform
from everloop.app.settings import Loaded
from everloop.app.storage import prepare_home
from everloop.cli.demo import bookkeeping
from everloop.cli.demo.account import Account
from everloop.cli.demo.children import Child, free_port, peak_kb
from everloop.cli.demo.databook import FILES, DataBook
from everloop.cli.demo.narrator import Narrator
from everloop.cli.demo.replay import Asker, Replay
from everloop.datasets.quality.entities import CheckReport, CheckResult
from everloop.datasets.quality.words import sentence_of
from everloop.kernel.clock import SharedClock
from everloop.kernel.errors import Conflict, Misconfigured, Refused
from everloop.loop.entities import TickReport
from everloop.pipelines.project import load_module

LOOP = "delay"
_SETTLING = timedelta(days=4)
_AGAIN = ("departures",)
"""What is derived again elsewhere, to be compared."""


def travel(settings: Loaded, months: int) -> Account:
    """Run the demo in the home that the settings name; what an earlier, interrupted or shorter one did is kept.

    Raises:
        Misconfigured: the example project or its data is not installed.
    """
    started = time.monotonic()
    narrator = Narrator()
    home = Path(settings.values.home)
    prepare(home, months)
    with alone(home):
        loaded = settings_file.load({"home": str(home)}, environment={}, folder=home)
        platform = open_platform(loaded)
        try:
            return _Journey(platform, narrator, months).run(started)
        finally:
            platform.close()


@contextmanager
def alone(home: Path) -> Iterator[None]:
    """Let one demo at a time live in a home. The lock goes with the process that holds it, however that ends.

    Raises:
        Conflict: another is running there.
    """
    with (home / "demo.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict(
                f"A demo is running in {home} already.", hint="Wait for it, or choose another home with --home."
            ) from None
        yield


def prepare(home: Path, months: int) -> None:
    """Make the home, and write down in it that it lives on a simulated clock and for which project.

    Raises:
        Misconfigured: the home holds another platform, or a demo of another length.
    """
    file = home / settings_file.FILE
    if (home / "catalog.db").exists() and not file.exists():
        raise Misconfigured(
            f"{home} is the home of another platform, which the demo would disturb.",
            hint="Choose another with --home, such as everloop demo --home demo-home.",
        )
    prepare_home(home)
    (home / "logs").mkdir(exist_ok=True)
    (home / ".gitignore").write_text("*\n")
    length = home / "demo-months"
    if length.exists() and length.read_text() != str(months):
        raise Misconfigured(
            f"The demo in {home} goes {length.read_text()} months into the year, not {months}.",
            hint="Choose another home with --home, or the same --months.",
        )
    length.write_text(str(months))
    if not file.exists():
        text = 'project = "flights"\nclock = "shared"\n'
        file.write_text(
            f"# This home was made by everloop demo. Its clock stands where the replay has come to.\n{text}"
        )


class _Journey:
    def __init__(self, platform: Platform, narrator: Narrator, months: int) -> None:
        self.months = months
        self.platform = platform
        self.narrator = narrator
        self.home = platform.resources.home
        clock = platform.resources.clock
        assert isinstance(clock, SharedClock), "prepare() has set it"
        self.clock = clock
        self.folder = example_folder("flights")
        self.world = load_module(self.folder, "flights.world")

    def run(self, started: float) -> Account:
        self.clock.advance(self.world.FIRST_DAY)
        with self.children() as (endpoint, server):
            self.narrator.say(f"The web UI shows all of it while it happens: {server.url}")
            self.data()
            self.first_model()
            endpoint.ready()
            world = self.replay(endpoint, server)
            self.narrator.chapter("The account")
            books = bookkeeping.Books(self.platform, world, LOOP, self.folder)
            account = books.account(self.world.FIRST_DAY, world.ends, self.databook())
            memory = peak_kb() / 1024 + endpoint.peak_mb() + server.peak_mb()
        return msgspec.structs.replace(
            account, seconds=round(time.monotonic() - started, 1), peak_memory_mb=round(memory, 1), home=str(self.home)
        )

    @contextmanager
    def children(self) -> Iterator[tuple[Child, Child]]:
        """The endpoint and the server; both are stopped at the end, whatever happens."""
        environment = os.environ | {"EVERLOOP_HOME": str(self.home), "PYTHONUNBUFFERED": "1"}
        logs = self.home / "logs"
        endpoint = Child("endpoint", ["serve", LOOP], free_port(), logs / "endpoint.log", environment)
        server = Child("server", ["server"], free_port(), logs / "server.log", environment)
        server.start()
        try:
            yield endpoint, server
        finally:
            endpoint.stop()
            server.stop()

    def data(self) -> None:
        """Suites are put in force, raw files become snapshots; features, pipelines and the loop are applied."""
        self.narrator.chapter("Data: the flights out of New York in 2013, the weather, the planes")
        project.apply(self.platform, project.collect(self.folder, "flights.suites"))
        ingest: Any = load_module(self.folder, "flights.data").ingest
        for snapshot in ingest(str(self.home)):
            self.narrator.say(
                f"  {snapshot.dataset}@{snapshot.version}: {snapshot.rows:,} rows, {snapshot.digest[:12]}"
            )
        for tag in self.platform.call("datasets.tags", {"name": FILES}):
            self.narrator.say(f"  [dim]refused[/dim]   {FILES}@{tag.version}: {_shortly(tag.note)}")
        for name in ("flights", "weather", "planes"):
            report: CheckReport = self.platform.call("datasets.check", {"name": name})
            for result in report.results:
                if result.failures:
                    self.narrator.say(f"  {name}: {_found(result)}")
        applied = project.apply(self.platform, project.collect(self.folder, "flights.project"))
        views = sum(len(service.service.views) for service in applied.services)
        self.narrator.say(
            f"  applied: {views} feature views, {len(applied.pipelines)} pipelines, loop {applied.loops[0].name}"
        )

    def first_model(self) -> None:
        """The loop has no champion yet: its first tick trains one, and gates it; then it is served."""
        self.narrator.chapter("Training: the first model, from January and February")
        while not self.platform.call("endpoints.list", {}):
            report: TickReport = self.platform.call("loops.tick", {"name": LOOP})
            for action in report.actions:
                self.narrator.say(f"  {action}")
            if report.held_back:
                raise Refused(
                    f"The demo has no model to begin with. {report.held_back}",
                    hint=f"See why: everloop loops candidates {LOOP} --home {self.home}. Begin anew in another --home.",
                )

    def databook(self) -> DataBook:
        """What tells of the data."""
        derived: dict[str, str] = load_module(self.folder, "flights.data").DERIVED
        return DataBook(self.platform, LOOP, {name: derived[name] for name in _AGAIN})

    def replay(self, endpoint: Child, server: Child) -> Any:
        """Every flight from March to December is asked about; then the last delays come in."""
        session = self.platform.session()
        from everloop.datasets import content
        from everloop.features import service as features

        schedule = content.read_table(session, content.snapshot_of(session, "schedule"))
        world = self.world.World(schedule, self.months)
        since = self.clock.now()
        self.narrator.chapter(f"The year goes by: {world.flights:,} flights, hour by hour, through {endpoint.url}")
        with session.begin(write=False) as unit:
            pinned = features.pin(unit, LOOP)
        asker = Asker(endpoint, LOOP)
        replay = Replay(self.platform, self.clock, asker, self.narrator, [server])
        if since < world.ends:
            with self.narrator.bar("March", world.flights, world.asked_before(since)):
                replay.run(world, pinned, self.world.PLANTED, LOOP)
            self.clock.advance(world.ends)
        replay.settle(world, LOOP, world.ends + _SETTLING)
        return world


def _found(result: CheckResult) -> str:
    """What a check found, as a line."""
    verdict = "tolerated" if result.passed else result.expectation.severity
    return f"[dim]{verdict:9}[/dim] {sentence_of(result.expectation)}: {result.failures:,} of {result.rows:,} rows"


def _shortly(text: str) -> str:
    """The beginning of a text, without markup."""
    from rich.markup import escape

    return escape(shorten(text, 150, placeholder=" …"))
