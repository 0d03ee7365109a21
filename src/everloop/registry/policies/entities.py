"""What policies are about."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec

from everloop.kernel.errors import Refused
from everloop.kernel.events import Event
from everloop.kernel.ids import Name
from everloop.store.entities import Digest

Count = Annotated[int, msgspec.Meta(ge=0, le=20)]


class Policy(msgspec.Struct, frozen=True):
    """What the aliases in `aliases` ask of a version; a policy without a `model` is that of every model in the project.

    `approvals` people must have approved its very files, none of them the one who registered it, and after the last
    rejection; only those in `approvers` count, where any are named. `minimums` are metrics that it must reach, `gates`
    the gates that must have passed when a loop examined its very files; what an approval says of gates counts nothing.
    """

    aliases: tuple[Name, ...] = ("champion", "production")
    approvals: Count = 1
    approvers: tuple[Name, ...] = ()
    minimums: dict[str, float] = {}
    gates: tuple[str, ...] = ()
    model: str = ""


class GateJudgement(msgspec.Struct, frozen=True):
    """What a gate said of a version's files (`digest`), who asked it (`by`, such as a loop's URN), and when."""

    model: Name
    version: int
    digest: Digest
    gate: str
    passed: bool
    message: str
    by: str
    at: datetime


class ApprovalMissing(Refused):
    """A version may not have a guarded alias yet; somebody's approval may change that."""


class PolicySet(Event, frozen=True, kw_only=True, tag="models.policy_set"):
    """A policy was set."""

    policy: Policy


class PolicyDeleted(Event, frozen=True, kw_only=True, tag="models.policy_deleted"):
    """A policy counts no more."""


class GatesJudged(Event, frozen=True, kw_only=True, tag="models.gates_judged"):
    """Gates were asked about a version's files; whether each passed."""

    version: int
    digest: Digest
    gates: dict[str, bool]
