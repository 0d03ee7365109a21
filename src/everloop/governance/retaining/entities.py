"""What retention is about."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from everloop.governance.runkeeping.entities import Kept, RunsGc
from everloop.kernel.events import Event
from everloop.kernel.ids import Name

Rule = Literal["checkpoints", "failed_metrics_for", "large_files"]


class LargeFiles(msgspec.Struct, frozen=True):
    """Files of more than so many bytes go so long (`90d`) after their run has ended."""

    over: int
    after: str


class Rules(msgspec.Struct, frozen=True):
    """What goes. A rule that is not given asks for nothing.

    `checkpoints` newest ones of each run stay; points and last values of failed and killed runs stay
    `failed_metrics_for` so long; what was deleted can be restored for `deleted_for` so long.
    """

    checkpoints: int | None = None
    failed_metrics_for: str = ""
    large_files: LargeFiles | None = None
    deleted_for: str = ""


class Policy(msgspec.Struct, frozen=True):
    """Rules with a name, for the runs of an experiment or ("") of all; `deleted_for` is for all of a project only.

    One that is `declared` stands in the project's `everloop.toml`, and changes only there.
    """

    name: Name
    rules: Rules
    experiment: str
    changed: datetime
    declared: bool = False


class Declared(Rules, frozen=True, forbid_unknown_fields=True):
    """A policy as `[retention.NAME]` in `everloop.toml` declares it."""

    experiment: str = ""

    @property
    def rules(self) -> Rules:
        """The rules alone."""
        return Rules(self.checkpoints, self.failed_metrics_for, self.large_files, self.deleted_for)


class Trim(msgspec.Struct, frozen=True):
    """What goes from a run by a rule of a policy: files and folders by path, so many files, bytes of them or points."""

    urn: str
    name: str
    policy: str
    rule: Rule
    paths: tuple[str, ...]
    files: int
    bytes: int


class Applied(msgspec.Struct, frozen=True):
    """What applying the policies did, or would do in a dry run; and which runs they leave alone because of what."""

    trimmed: tuple[Trim, ...]
    kept: tuple[Kept, ...]
    bytes: int
    deleted: tuple[RunsGc, ...] = ()


class PolicySet(Event, frozen=True, kw_only=True, tag="retention.set"):
    """A retention policy has these rules now."""

    rules: Rules
    experiment: str


class PolicyRemoved(Event, frozen=True, kw_only=True, tag="retention.removed"):
    """A retention policy counts no more."""


class RunTrimmed(Event, frozen=True, kw_only=True, tag="retention.trimmed"):
    """A rule of a policy took something from a run: so many files, and bytes of them or of points."""

    policy: str
    rule: Rule
    files: int
    size: int
