"""What remotes are made of: places beyond this platform, what they can do, the refs that they keep."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from everloop.kernel.events import Event
from everloop.kernel.ids import Name
from everloop.store.entities import Digest
from everloop.store.transfer import Transferred

RefScheme = Literal["conditional", "claims"]
"""How refs move at a remote: by conditional writes, or by claims where its server ignores conditions."""


class Probe(msgspec.Struct, frozen=True):
    """What a place was found to do.

    `creates_once`: a write that must be the first is refused when it is not (If-None-Match); `swaps`: a write that
    must replace what was read is refused when something else is there (If-Match). `milliseconds` is the median time
    of a request.
    """

    writes: bool
    ranges: bool
    creates_once: bool
    swaps: bool
    milliseconds: float

    @property
    def conditional(self) -> bool:
        """Whether refs can be moved by conditional writes alone."""
        return self.creates_once and self.swaps


class Remote(msgspec.Struct, frozen=True):
    """A place that versions of data are pushed to and pulled from, under a name of this project."""

    name: Name
    url: str
    refs: RefScheme
    probe: Probe
    created: datetime


RefKind = Literal["branch", "tag"]


class Ref(msgspec.Struct, frozen=True):
    """A branch or tag at a remote: the commit that it points to, who moved it there and when; each move has an id."""

    name: str
    commit: Digest
    by: str
    at: datetime
    id: str
    kind: RefKind = "branch"


class Push(msgspec.Struct, frozen=True):
    """What a push did: the remote's ref moved from `before` ("" for none) to `commit`."""

    remote: Name
    ref: str
    before: str
    commit: Digest
    sent: Transferred


class Pull(msgspec.Struct, frozen=True):
    """What a pull did: what travelled, and the versions that came into being here, oldest first.

    `branch` is what stands at the pulled `version` here: the branch or tag itself or, where the branch here has gone
    another way, `remote.branch`, to be merged.
    """

    remote: Name
    ref: str
    commit: Digest
    branch: str
    version: int
    versions: tuple[int, ...]
    received: Transferred


class ImportCheck(msgspec.Struct, frozen=True):
    """How the files of a version that was imported by reference compare with their source; up to 1,000 are named."""

    dataset: Name
    version: int
    files: int
    changed: tuple[str, ...]
    missing: tuple[str, ...]
    added: tuple[str, ...]
    passed: bool


class RemoteAdded(Event, frozen=True, kw_only=True, tag="remotes.added"):
    """A remote was given a name."""

    url: str
    refs: RefScheme


class RemoteRemoved(Event, frozen=True, kw_only=True, tag="remotes.removed"):
    """A remote's name was taken away; what it holds is still there."""


class Pushed(Event, frozen=True, kw_only=True, tag="remotes.pushed"):
    """A ref at a remote was moved to a commit of ours."""

    remote: str
    commit: Digest
    objects: int
    bytes: int


class Pulled(Event, frozen=True, kw_only=True, tag="remotes.pulled"):
    """A commit of a remote was brought here."""

    remote: str
    commit: Digest
    objects: int
    bytes: int
