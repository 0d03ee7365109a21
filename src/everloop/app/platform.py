"""The running platform: every call of a use case, from whichever door, goes through here."""

from __future__ import annotations

import base64
import getpass
import os
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import msgspec
from blake3 import blake3
from sqlalchemy import select

from everloop.app import areas, backends
from everloop.app.fresh import FreshProcesses
from everloop.app.modelservers import EverloopServers
from everloop.app.places import InstalledPlaces, InstalledSources, InstalledStreams
from everloop.app.settings import Loaded, Settings
from everloop.app.settings import load as load_settings
from everloop.app.storage import catalog_url, open_store, prepare_home, scheme
from everloop.catalog import migrations
from everloop.catalog.database import Database
from everloop.catalog.keyring import KeyRing
from everloop.catalog.session import Resources, Session
from everloop.catalog.tables import answered
from everloop.datasets.engine import TableEngine
from everloop.datasets.gates import CommitGate
from everloop.datasets.quality.engine import CheckEngine
from everloop.datasets.remotes.places import Places
from everloop.datasets.remotes.reach import Reach
from everloop.datasets.remotes.sources import Sources
from everloop.datasets.splits.finder import SubjectFinder
from everloop.features.onlinestore import OnlineStore
from everloop.governance.entities import Principal
from everloop.governance.roles import require
from everloop.kernel.clock import Clock, SharedClock, SystemClock
from everloop.kernel.errors import Conflict, InvalidInput, NotFound
from everloop.kernel.ids import NAME_PATTERN
from everloop.kernel.ports import Ports
from everloop.kernel.progress import SILENT, Progress
from everloop.kernel.usecase import UseCase, named
from everloop.loop.freshprocess import FreshProcess
from everloop.monitoring.channel import Channel
from everloop.packaging.sizing.serverport import ModelServers
from everloop.pipelines.executor import Executor, ExecutorOpener, SessionOpener
from everloop.registry.flavor import Flavor, Sandbox
from everloop.registry.watch import ModelWatch, Unwatched
from everloop.serving.batch.stream import Streams
from everloop.store.manifests import take_over
from everloop.tracking.ingest import Ingest


class Platform:
    """A platform that is open: its resources, and the one way to call a use case."""

    def __init__(self, settings: Loaded, resources: Resources) -> None:
        self.settings = settings
        self.resources = resources

    @property
    def local_principal(self) -> Principal:
        """Who works in process: the operating system's user, who owns the home."""
        return Principal(_user(), ("owner",))

    @property
    def ingest(self) -> Ingest:
        """Where writes to runs from all sides are committed together."""
        return self.resources.ports.get(Ingest)

    def session(self, principal: Principal | None = None, project: str = "") -> Session:
        """A session that has not begun.

        Raises:
            InvalidInput: the project's name is none.
        """
        who = principal or self.local_principal
        name = project or self.settings.values.project
        if re.fullmatch(NAME_PATTERN, name) is None:
            raise InvalidInput(f"{name!r} is no name of a project.", hint="Use letters, digits, dots, dashes and _.")
        return Session(self.resources, who.name, name)

    def call(
        self,
        name: str,
        arguments: Mapping[str, object],
        *,
        principal: Principal | None = None,
        project: str = "",
        key: str = "",
        strict: bool = True,
    ) -> Any:
        """Call a use case by name: check arguments and permission, open the unit of work, run it, commit.

        With an idempotency `key` a repeated call gets the first one's answer and changes nothing.

        Raises:
            NotFound: there is no such use case.
            EverloopError: whatever the use case raises; then nothing was changed.
        """
        usecase = self.usecase(name)
        who = principal or self.local_principal
        require(who, usecase.permission)
        bound = usecase.bind(arguments, strict=strict)
        session = self.session(who, project)
        with session.activate():
            if usecase.long:
                return usecase.function(session, **bound)
            ready = bound if usecase.before is None else bound | (usecase.before(session, **bound) or {})
            with session.begin(write=not usecase.reads_only) as unit:
                if key and usecase.repeatable:
                    return self._once(unit, usecase, bound, key, ready)
                return usecase.function(unit, **ready)

    def usecase(self, name: str) -> UseCase:
        """A use case by its name.

        Raises:
            NotFound: there is none.
        """
        found = named(name)
        if found is None:
            areas.load_all()  # What was opened for recording knows only what that takes.
            found = named(name)
        if found is None:
            raise NotFound(f"There is no use case {name!r}.", hint="everloop --help lists what there is.")
        return found

    def close(self) -> None:
        """Give back connections and backends."""
        for backend in self.resources.ports.built():
            close = getattr(backend, "close", None)
            if close is not None:
                close()
        self.resources.database.close()

    def _once(
        self, unit: Session, usecase: UseCase, bound: Mapping[str, object], key: str, ready: Mapping[str, object]
    ) -> Any:
        request = blake3(msgspec.json.encode([usecase.name, unit.project, dict(bound)], order="sorted")).hexdigest()
        mine = (answered.c.key == key) & (answered.c.principal == unit.principal)
        before = unit.connection.execute(select(answered.c.request, answered.c.answer).where(mine)).one_or_none()
        if before is not None:
            if before.request != request:
                raise Conflict(
                    f"The idempotency key {key!r} was used for another request.",
                    hint="Send a fresh key with each new request.",
                )
            return msgspec.msgpack.decode(base64.b64decode(before.answer), type=usecase.result)
        answer = usecase.function(unit, **ready)
        row = {
            "key": key,
            "principal": unit.principal,
            "usecase": usecase.name,
            "request": request,
            "at": unit.clock.now(),
        }
        kept = base64.b64encode(msgspec.msgpack.encode(answer)).decode()  # JSON would lose NaN.
        unit.insert(answered, row | {"answer": kept})
        return answer


def open_platform(settings: Loaded | None = None, **arguments: object) -> Platform:
    """Open the platform that the settings describe, making and migrating what is not there yet.

    Raises:
        Misconfigured: the home cannot be written, a backend is missing.
        Unavailable: the database does not answer.
    """
    areas.load_all()
    return _over(settings or load_settings(arguments))


def open_for_recording(settings: Loaded) -> Platform:
    """The same, for a process that trains: areas that take no part in recording are imported when they are called.

    Importing them all is a third of what opening costs, which short trainings would wait for at their end.
    """
    areas.load("tracking")
    return _over(settings)


def _over(loaded: Loaded) -> Platform:
    values = loaded.values
    home = Path(values.home)
    prepare_home(home)
    database = _database(values)
    store = open_store(values)
    migrations.upgrade(database, lambda: take_over(store.objects))
    resources = Resources(home, database, store, _clock(values), Random(values.seed), Ports())
    platform = Platform(loaded, resources)
    provide_ports(resources.ports, values)
    resources.ports.provide(SessionOpener, partial(Reopening, loaded))
    resources.ports.provide(Ingest, lambda: Ingest(platform.resources))
    return platform


class Reopening(msgspec.Struct, frozen=True):
    """Opens the same platform again in another process, where a step is executed."""

    settings: Loaded

    def __call__(self, principal: str, project: str) -> Session:
        """A session that has not begun."""
        return open_platform(self.settings).session(Principal(principal, ()), project)


def provide_ports(ports: Ports, values: Settings) -> None:
    """Offer to the areas the backends that the settings chose, and every named one that is installed."""
    online = values.online_store_url or f"lmdb://{Path(values.home).resolve() / 'online'}"
    ports.provide(TableEngine, lambda: backends.load("engines", "duckdb")())
    ports.provide(CheckEngine, lambda: backends.load("engines", "polars")())
    ports.provide(CommitGate, _checks_gate, "checks")
    ports.provide(OnlineStore, lambda: backends.load("online_stores", scheme(online))(online))
    ports.provide(Executor, lambda: backends.load("executors", values.executor)())
    ports.provide(ExecutorOpener, lambda: _executor)
    ports.provide(FreshProcess, lambda: FreshProcesses(values))
    ports.provide(Places, lambda: InstalledPlaces(Path(values.home) / "remotes"))
    ports.provide(Progress, lambda: SILENT)
    ports.provide(ModelServers, lambda: EverloopServers(values))
    ports.provide(SubjectFinder, _online_subjects, "features")
    ports.provide(SubjectFinder, _logged_subjects, "serving")
    ports.provide(Reach, lambda: Reach(private=True))
    ports.provide(KeyRing, lambda: KeyRing(Path(values.home) / "keys" / "secrets.keys", values.secrets_key))
    ports.provide(Sources, InstalledSources)
    ports.provide(Streams, InstalledStreams)
    for url in values.channels:
        ports.provide(Channel, partial(_opened, "channels", scheme(url), url), url)
    ports.provide_by_name(Flavor, partial(_opened, "flavors"))
    ports.provide(Sandbox, lambda: _sandbox(values))
    ports.provide(ModelWatch, Unwatched)


def _checks_gate() -> CommitGate:
    from everloop.datasets.quality.gating import ChecksGate  # These three import whole areas, which recording lacks.

    return ChecksGate()


def _online_subjects() -> SubjectFinder:
    from everloop.features.subjects import OnlineSubjects

    return OnlineSubjects()


def _logged_subjects() -> SubjectFinder:
    from everloop.serving.subjects import LoggedSubjects

    return LoggedSubjects()


def _executor(name: str, workers: int) -> Executor:
    opened: Executor = backends.load("executors", name)(workers)
    return opened


def _opened(kind: str, name: str, *arguments: str) -> Any:
    return backends.load(kind, name)(*arguments)


def _sandbox(values: Settings) -> Sandbox:
    made: Sandbox = backends.load("sandboxes", "process")(
        hidden=(Path(values.home).resolve(),),
        memory=values.sandbox_memory_mb,
        seconds=values.sandbox_seconds,
        everything=values.sandbox == "all",
        must_be_offline=values.sandbox_isolation == "required",
    )
    return made


def _database(values: Settings) -> Database:
    url = catalog_url(values)
    database: Database = backends.load("databases", scheme(url).partition("+")[0])(url)
    return database


def _clock(values: Settings) -> Clock:
    return SharedClock(Path(values.home) / "clock") if values.clock == "shared" else SystemClock()


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid-{os.getuid()}"
