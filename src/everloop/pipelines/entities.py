"""What pipelines are about: definitions, executions and the steps in them."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from everloop.kernel.events import Event
from everloop.kernel.ids import Name
from everloop.kernel.usecase import Json

ExecutionStatus = Literal["running", "finished", "failed"]
ABANDONED = "abandoned: the process that ran it ended without a word"
"""The error of an execution whose process was killed. What its steps finished is remembered."""


class PipelineDefinition(msgspec.Struct, frozen=True):
    """A pipeline that a project declared: the function `module:name`, and its parameters (name to type, as written).

    `folder` is where the module is imported from.
    """

    name: Name
    target: str
    folder: str = ""
    parameters: dict[str, str] = {}


class StepExecution(msgspec.Struct, frozen=True):
    """One call of a step, remembered (`hit`) or executed. `output_digest` is equal for equal values."""

    name: str
    index: int
    memo_key: str
    hit: bool
    seconds: float
    output_digest: str
    error: str
    random_seed: int


class Execution(msgspec.Struct, frozen=True):
    """One time that a pipeline ran. `run` is the id of its tracking run."""

    id: str
    pipeline: str
    arguments: dict[str, Json]
    status: ExecutionStatus
    run: str
    output: Json
    steps: tuple[StepExecution, ...]
    started: datetime
    ended: datetime | None = None
    error: str = ""

    @property
    def executed(self) -> list[str]:
        """The names of the steps that really ran."""
        return [step.name for step in self.steps if not step.hit]


class PipelineApplied(Event, frozen=True, kw_only=True, tag="pipelines.applied"):
    """A pipeline was declared, or its declaration changed."""

    target: str


class ExecutionStarted(Event, frozen=True, kw_only=True, tag="pipelines.started"):
    """A pipeline began to run."""

    pipeline: str
    run: str


class ExecutionEnded(Event, frozen=True, kw_only=True, tag="pipelines.ended"):
    """A pipeline ended: so many steps were executed, so many remembered."""

    pipeline: str
    status: ExecutionStatus
    executed: int = 0
    remembered: int = 0
    error: str = ""
