"""What a decision to trust is about."""

from __future__ import annotations

from datetime import datetime

import msgspec

from everloop.kernel.events import Event
from everloop.kernel.ids import Name
from everloop.store.entities import Digest


class Trust(msgspec.Struct, frozen=True):
    """Somebody's decision to let the code of a model run. `digest` fixes the very bytes that were judged."""

    digest: Digest
    model: Name
    version: int
    principal: str
    reason: str
    at: datetime


class ModelTrusted(Event, frozen=True, kw_only=True, tag="models.trusted"):
    """The code of a version's files may run, in a sandbox."""

    version: int
    digest: Digest
    reason: str


class ModelDistrusted(Event, frozen=True, kw_only=True, tag="models.distrusted"):
    """The code of a version's files may run no longer."""

    version: int
    digest: Digest
    reason: str
