"""What a loop is: its declaration, the candidates that it makes, and what its ticks, simulations and traces report."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

import msgspec

from everloop.kernel.events import Event
from everloop.kernel.ids import Name
from everloop.kernel.usecase import Json
from everloop.rollouts.entities import Canary, Strategy

Metric = Literal["roc_auc", "log_loss", "brier"]
"""What models are compared by; of `roc_auc` more is better, of the others less."""

FIRST = "first"
"""The trigger of the candidate that a loop without a champion makes."""
BY_HAND = "by hand"
"""The trigger of a candidate that a person proposed."""


class Label(msgspec.Struct, frozen=True, kw_only=True):
    """How the truth about a prediction is told, and when it can be counted on.

    `expression` is SQL over the columns of the dataset `source`, `at` its column with the time of prediction; both
    are needed only by simulations. `key` is the request column that feedback names; a prediction that has no label
    `within` that span has none.
    """

    expression: str
    key: str = ""
    within: timedelta = timedelta(days=1)
    source: str = ""
    at: str = ""


class Drift(msgspec.Struct, frozen=True, kw_only=True, tag="drift"):
    """Retrain when the drift of the features is estimated to move the output by `impact`, window after window."""

    impact: float = 0.01
    windows: int = 3


class PerformanceDrop(msgspec.Struct, frozen=True, kw_only=True, tag="performance"):
    """Retrain when a metric over the last days is worse by `drop` than it was at the champion's promotion."""

    metric: Metric = "roc_auc"
    drop: float = 0.03
    over: timedelta = timedelta(days=14)
    minimum: int = 500


class Every(msgspec.Struct, frozen=True, kw_only=True, tag="every"):
    """Retrain when that much time has passed since the last candidate."""

    period: timedelta


class NewData(msgspec.Struct, frozen=True, kw_only=True, tag="new_data"):
    """Retrain when a dataset has grown by so many rows since the last candidate."""

    dataset: Name
    rows: int = 1


Trigger = Drift | PerformanceDrop | Every | NewData


class BetterThan(msgspec.Struct, frozen=True, kw_only=True, tag="better_than"):
    """The challenger beats the version under an alias on the challenger's holdout: one-sided paired test at `alpha`."""

    alias: Name = "champion"
    metric: Metric = "roc_auc"
    alpha: float = 0.05


class NoSliceWorse(msgspec.Struct, frozen=True, kw_only=True, tag="no_slice_worse"):
    """In no slice of `column` with `minimum` rows is the ROC AUC worse by more than `by`, and significantly."""

    column: str
    by: float = 0.05
    minimum: int = 200
    alpha: float = 0.05


class Latency(msgspec.Struct, frozen=True, kw_only=True, tag="latency"):
    """99 of 100 predictions for a single row take no longer than `p99`."""

    p99: timedelta


class ModelTests(msgspec.Struct, frozen=True, kw_only=True, tag="model_tests"):
    """The behavioural tests of the project pass: a file, a folder or a module, with `:function` for a single one."""

    path: str


class PackageScan(msgspec.Struct, frozen=True, kw_only=True, tag="package_scan"):
    """The model's files hold nothing that runs code when they are loaded."""


class ChecksPass(msgspec.Struct, frozen=True, kw_only=True, tag="checks_pass"):
    """A dataset's versions that the challenger came from (else the newest) meet what is expected of it."""

    dataset: Name


Gate = BetterThan | NoSliceWorse | Latency | ModelTests | PackageScan | ChecksPass


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What holds a loop back: time between two candidates, and how many a calendar month (0 means any number)."""

    cooldown: timedelta = timedelta(0)
    retrains_per_month: int = 0


class Loop(msgspec.Struct, frozen=True, kw_only=True):
    """A loop: when its triggers fire, its pipeline makes a candidate, which must pass the gates and then the rollout.

    The pipeline is called with `until`, the time that training data may reach to, and returns a model.
    """

    name: Name
    model: Name
    endpoint: Name
    pipeline: Name
    label: Label
    triggers: tuple[Trigger, ...] = ()
    gates: tuple[Gate, ...] = ()
    rollout: Strategy = msgspec.field(default_factory=Canary)
    limits: Limits = Limits()


class AppliedLoop(msgspec.Struct, frozen=True):
    """A loop as it was last applied; the revision grows when its declaration changes."""

    name: Name
    declaration: Loop
    revision: int
    created: datetime
    applied: datetime


class GateResult(msgspec.Struct, frozen=True):
    """What a gate said, and on what grounds."""

    gate: str
    passed: bool
    message: str
    evidence: dict[str, Json] = {}


Status = Literal["proposed", "training", "gated", "refused", "rolling_out", "promoted", "rolled_back"]
OPEN: tuple[Status, ...] = ("proposed", "training", "gated", "rolling_out")
"""The states of a candidate that something still has to happen to."""


class Candidate(msgspec.Struct, frozen=True):
    """A model on its way to be the champion. The row is the controller's memory: whatever dies, it goes on from here.

    `number` counts the candidates of the loop from 1. `pipeline` with `arguments` makes its model, in `execution`;
    `version` is 0 until that is registered. `measured` holds its metrics on its holdout; `units` counts the predictions
    that met it before it was promoted or stopped.
    """

    id: str
    loop: Name
    model: Name
    status: Status
    trigger: str
    reason: str
    pipeline: Name
    arguments: dict[str, Json]
    created: datetime
    number: int = 0
    skip_gates: bool = False
    execution: str = ""
    version: int = 0
    gates: tuple[GateResult, ...] = ()
    measured: dict[str, float] = {}
    rollout: str = ""
    units: int = 0
    outcome: str = ""
    ended: datetime | None = None


class TickReport(msgspec.Struct, frozen=True):
    """What the controller saw and did at one moment."""

    loop: Name
    at: datetime
    predictions: int = 0
    labels: int = 0
    windows: int = 0
    alerts: int = 0
    trigger: str = ""
    held_back: str = ""
    candidate: Candidate | None = None
    actions: tuple[str, ...] = ()


class LoopStatus(msgspec.Struct, frozen=True):
    """How a loop stands: its champion, the candidate on its way, and what it has done so far."""

    loop: AppliedLoop
    champion: int
    candidate: Candidate | None
    candidates: int
    promoted: int
    stopped: int
    retrains_this_month: int
    held_back: str
    last_promotion: datetime | None


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """When to retrain, under a name: what a simulation compares."""

    name: str
    triggers: tuple[Trigger, ...] = ()
    limits: Limits = Limits()


class SimulatedMonth(msgspec.Struct, frozen=True):
    """How a policy fared in a calendar month (`2013-03`) of the simulation."""

    policy: str
    month: str
    n: int
    roc_auc: float
    log_loss: float
    calibration_error: float
    retrains: int
    promoted: int


class SimulatedRetrain(msgspec.Struct, frozen=True):
    """A retrain that a policy asked for, and whether its gates let it through."""

    policy: str
    at: datetime
    trigger: str
    reason: str
    promoted: bool
    message: str


class SimulatedPolicy(msgspec.Struct, frozen=True):
    """How a policy fared over the whole simulation; `seconds` is what its trainings cost."""

    policy: str
    n: int
    roc_auc: float
    log_loss: float
    calibration_error: float
    retrains: int
    promoted: int
    seconds: float


class SimulationReport(msgspec.Struct, frozen=True):
    """Policies compared on the same history."""

    loop: Name
    start: datetime
    end: datetime
    policies: tuple[SimulatedPolicy, ...]
    months: tuple[SimulatedMonth, ...]
    retrains: tuple[SimulatedRetrain, ...]


class ReplayedStep(msgspec.Struct, frozen=True):
    """A step of an execution with the digest of what it gave."""

    name: str
    digest: str


class Replay(msgspec.Struct, frozen=True):
    """An execution that was run again without the memo: its steps, its model, and where it ran."""

    steps: tuple[ReplayedStep, ...]
    model_digest: str
    environment: dict[str, str]


class ComparedStep(msgspec.Struct, frozen=True):
    """The digest of a step's output then and now."""

    name: str
    before: str
    after: str

    @property
    def equal(self) -> bool:
        """Whether both runs gave the same bytes."""
        return self.before == self.after != ""


class Difference(msgspec.Struct, frozen=True):
    """Something about the environment that is not as it was."""

    what: str
    before: str
    after: str


class Reproduction(msgspec.Struct, frozen=True):
    """Whether a model version came out again, bit for bit, from the same code and data in a fresh process."""

    model: Name
    version: int
    equal: bool
    execution: str
    model_before: str
    model_after: str
    steps: tuple[ComparedStep, ...]
    environment: tuple[Difference, ...]
    reason: str = ""


class TraceStep(msgspec.Struct, frozen=True):
    """A thing on the way from a prediction to the bytes; `depth` indents it below what it explains."""

    depth: int
    relation: str
    urn: str
    facts: dict[str, str] = {}


class Trace(msgspec.Struct, frozen=True):
    """From one thing, step by step, to everything that it came from or led to."""

    root: str
    direction: Literal["upstream", "downstream"]
    steps: tuple[TraceStep, ...]


class LoopApplied(Event, frozen=True, kw_only=True, tag="loops.applied"):
    """A loop was installed or changed."""

    revision: int
    declaration: Loop


class CandidateProposed(Event, frozen=True, kw_only=True, tag="loops.candidate_proposed"):
    """A trigger fired, or a person asked for a candidate."""

    candidate: str
    trigger: str
    reason: str
    skip_gates: bool = False


class CandidateTrained(Event, frozen=True, kw_only=True, tag="loops.candidate_trained"):
    """A candidate's pipeline ended and its model was registered."""

    candidate: str
    execution: str
    model: str


class CandidateGated(Event, frozen=True, kw_only=True, tag="loops.candidate_gated"):
    """Every gate let a candidate through, or a person had them skipped."""

    candidate: str
    gates: tuple[GateResult, ...]


class CandidateRefused(Event, frozen=True, kw_only=True, tag="loops.candidate_refused"):
    """A candidate was stopped before it met any request."""

    candidate: str
    reason: str
    gates: tuple[GateResult, ...] = ()


class CandidatePromoted(Event, frozen=True, kw_only=True, tag="loops.candidate_promoted"):
    """A candidate became the champion."""

    candidate: str
    model: str
    reason: str


class CandidateRolledBack(Event, frozen=True, kw_only=True, tag="loops.candidate_rolled_back"):
    """A candidate was stopped during its rollout, or taken back after it."""

    candidate: str
    model: str
    reason: str
    units: int = 0


class ChampionRolledBack(Event, frozen=True, kw_only=True, tag="loops.champion_rolled_back"):
    """Alias and traffic went back to an earlier version."""

    before: int
    after: int
    reason: str
