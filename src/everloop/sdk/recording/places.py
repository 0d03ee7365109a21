"""Where a run is recorded: the active platform, a server, the home of the settings, or nowhere but in the journal."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from everloop.app.settings import Loaded, load
from everloop.kernel.clock import Clock, SharedClock, SystemClock

if TYPE_CHECKING:
    from everloop.app.platform import Platform
    from everloop.app.remote import RemotePlatform
    from everloop.catalog.session import Session
    from everloop.tracking.journals.destination import Destination

entered: ContextVar[tuple[RemotePlatform, str] | None] = ContextVar("everloop_server", default=None)
"""The server and project of the innermost `with everloop.connect(…):`."""


@dataclass(frozen=True)
class Place:
    """Where runs go: the home for their journals, and how to get at what takes them (nothing: they stay there)."""

    settings: Loaded
    home: Path
    project: str
    clock: Clock
    open: Callable[[], Destination] | None
    url: str = ""
    """The server's address, if it is one."""

    @property
    def journals(self) -> Path:
        """The folder with a folder of journals for each run."""
        return self.home / "journals"


def place_of(platform: Platform | RemotePlatform, project: str) -> Place:
    """The place that a platform is."""
    from everloop.app.remote import RemotePlatform

    settings = load()
    if isinstance(platform, RemotePlatform):
        named = project or platform.project or settings.values.project
        return Place(
            settings, Path(settings.values.home), named, SystemClock(), lambda: _remote(platform, named), platform.url
        )
    named = project or platform.settings.values.project
    resources = platform.resources
    return Place(settings, resources.home, named, resources.clock, lambda: _embedded(platform, named))


def active_place() -> Place:
    """The place that runs go to here: the active platform's, a server's, or what the settings say."""
    session = _session()
    if session is not None:
        return Place(load(), session.home, session.project, session.clock, lambda: _in_session(session))
    server = entered.get()
    return place_of(*server) if server is not None else configured()


def configured(settings: Loaded | None = None) -> Place:
    """The place that the settings name. Nothing is opened or asked yet."""
    settings = settings or load()
    values = settings.values
    opener = partial(_connected if values.url else _opened, settings)
    simulated = Path(values.home) / "clock"
    clock = SharedClock(simulated) if values.clock == "shared" and simulated.exists() else SystemClock()
    return Place(settings, Path(values.home), values.project, clock, None if values.offline else opener, values.url)


def _session() -> Session | None:
    """The active session; where nobody has imported what makes one active, there is none (and importing it is slow)."""
    module = sys.modules.get("everloop.catalog.session")
    session: Session | None = module._active.get() if module is not None else None
    return session


def _embedded(platform: Platform, project: str) -> Destination:
    from everloop.app.destinations import Embedded

    return Embedded(platform, project)


def _remote(remote: RemotePlatform, project: str) -> Destination:
    from everloop.app.destinations import Remote

    return Remote(remote, project)


def _in_session(session: Session) -> Destination:
    from everloop.app.destinations import Embedded
    from everloop.app.platform import Platform

    return Embedded(Platform(load(), session.resources), session.project, session.principal)


def _opened(settings: Loaded) -> Destination:
    from everloop.app.destinations import Embedded
    from everloop.app.platform import open_for_recording

    return Embedded(open_for_recording(settings), settings.values.project, own=True)


def _connected(settings: Loaded) -> Destination:
    from everloop.app.destinations import Remote
    from everloop.app.remote import RemotePlatform

    values = settings.values
    remote = RemotePlatform(values.url, values.token, project=values.project)
    return Remote(remote, values.project, own=True)
