"""What policies are about."""

from __future__ import annotations

from typing import Annotated

import msgspec

from everloop.kernel.errors import Refused
from everloop.kernel.events import Event
from everloop.kernel.ids import Name

Count = Annotated[int, msgspec.Meta(ge=0, le=20)]


class Policy(msgspec.Struct, frozen=True):
    """What the aliases in `aliases` ask of a version; a policy without a `model` is that of every model in the project.

    `approvals` people must have approved its very files, none of them the one who registered it, and after the last
    rejection; only those in `approvers` count, where any are named. `minimums` are metrics that it must reach, `gates`
    the gates that must have passed in the evidence of an approval.
    """

    aliases: tuple[Name, ...] = ("champion", "production")
    approvals: Count = 1
    approvers: tuple[Name, ...] = ()
    minimums: dict[str, float] = {}
    gates: tuple[str, ...] = ()
    model: str = ""


class ApprovalMissing(Refused):
    """A version may not have a guarded alias yet; somebody's approval may change that."""


class PolicySet(Event, frozen=True, kw_only=True, tag="models.policy_set"):
    """A policy was set."""

    policy: Policy


class PolicyDeleted(Event, frozen=True, kw_only=True, tag="models.policy_deleted"):
    """A policy counts no more."""
