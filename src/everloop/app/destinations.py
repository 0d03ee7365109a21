"""Where runs are shipped to: a platform in this process, or a server; both by the use cases that everybody calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from everloop.app.platform import Platform
from everloop.app.remote import RemotePlatform
from everloop.governance.entities import Principal
from everloop.store.service import Store
from everloop.tracking.entities import Logged
from everloop.tracking.joining import joined
from everloop.tracking.points import unpack
from everloop.tracking.service import log_artifact
from everloop.tracking.writes import write


class Embedded:
    """A platform in this process."""

    def __init__(self, platform: Platform, project: str, principal: str = "", *, own: bool = False) -> None:
        self._platform = platform
        self._principal = Principal(principal, ("owner",)) if principal else platform.local_principal
        self._project = project
        self._own = own

    @property
    def name(self) -> str:
        """The home folder."""
        return str(self._platform.resources.home)

    @property
    def store(self) -> Store:
        """The platform's store."""
        return self._platform.resources.store

    def call(self, name: str, arguments: Mapping[str, object]) -> Any:
        """Call a use case."""
        return self._platform.call(name, arguments, principal=self._principal, project=self._project)

    def points(self, run: str, segments: Sequence[bytes], writer: str, sequence: int) -> None:
        """Give points to a run in one transaction."""
        points = joined([unpack(segment) for segment in segments])
        session = self._platform.session(self._principal, self._project)
        with session.begin() as unit:
            write(unit, Logged(run, points, writer=writer, sequence=sequence))

    def files(self, run: str, digests: Mapping[str, str]) -> None:
        """Give files to a run in one transaction."""
        with self._platform.session(self._principal, self._project).begin() as unit:
            for path, digest in digests.items():
                log_artifact(unit, run, path, digest)

    def close(self) -> None:
        """Close the platform, if it was opened for this."""
        if self._own:
            self._platform.close()


class Remote:
    """A server."""

    def __init__(self, remote: RemotePlatform, project: str, *, own: bool = False) -> None:
        self._remote = remote
        self._project = project
        self._own = own

    @property
    def name(self) -> str:
        """The server's URL."""
        return self._remote.url

    @property
    def store(self) -> Store:
        """The server's store; only what it lacks travels."""
        return self._remote.store

    def call(self, name: str, arguments: Mapping[str, object]) -> Any:
        """Call a use case over HTTP."""
        return self._remote.call(name, arguments, project=self._project)

    def points(self, run: str, segments: Sequence[bytes], writer: str, sequence: int) -> None:
        """Give points to a run in one request."""
        headers = {
            "X-Everloop-Writer": writer,
            "X-Everloop-Sequence": str(sequence),
            "X-Everloop-Project": self._project or self._remote.project,
        }
        self._remote.send("POST", f"/runs/{run}/points", b"".join(segments), headers)

    def files(self, run: str, digests: Mapping[str, str]) -> None:
        """Give files to a run, a request each: those that were taken when one is refused are the same the next time."""
        for path, digest in digests.items():
            self.call("runs.log_artifact", {"id": run, "path": path, "digest": digest})

    def close(self) -> None:
        """Give back the connections, if they were opened for this."""
        if self._own:
            self._remote.close()
