"""What monitoring is about: references, what each window is found to be like, and the alerts that follow."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Literal

import msgspec

from everloop.kernel.clock import EPOCH
from everloop.kernel.events import Event
from everloop.kernel.ids import Name

Kind = Literal["number", "category"]
Statistic = Literal["distribution", "mean", "missing", "attribution", "attribution_size", "roc_auc", "log_loss"]
Monitor = Literal["data_drift", "prediction_drift", "attribution_drift", "performance"]
Severity = Literal["info", "warning", "critical"]


class Bins(msgspec.Struct, frozen=True):
    """How the values of a feature are counted.

    Numbers: bin i holds values above `edges[i - 1]` and up to `edges[i]`. Categories: one bin each, then one for all
    others. The last bin of either is for missing values.
    """

    kind: Kind
    edges: tuple[float, ...] = ()
    categories: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """How many bins there are."""
        return (len(self.edges) if self.kind == "number" else len(self.categories)) + 2


class Null(msgspec.Struct, frozen=True):
    """What a test statistic is like when nothing has changed, learned from the reference's own chunks of time.

    Over chunks of effective size h its mean is `base + excess * h`: `base` is what independent rows would give,
    `excess` what the chunks differ by among themselves (hours, weekdays, weather that lasts). Its spread is that of a
    chi-square with `freedom` degrees. It rests on `chunks` chunks; since neighbours are alike, only the share
    `independent` of them counts.
    """

    base: float
    excess: float
    freedom: float
    chunks: int
    independent: float = 1.0


class FeatureReference(msgspec.Struct, frozen=True):
    """A feature (or the model's output) as it was: histogram, moments, nulls, and what the model makes of each bin.

    `low` and `high` bound what enters the mean (0.5 and 99.5 %), so that heavy tails do not drown it. `curve` is the
    mean contribution to the model's output in each bin, in units of the output; `noise` is how much the chunks of the
    reference moved the output by themselves. `nulls` belong to the statistics by name.
    """

    name: str
    bins: Bins
    counts: tuple[int, ...]
    mean: float
    deviation: float
    low: float
    high: float
    nulls: dict[Statistic, Null]
    curve: tuple[float, ...] = ()
    noise: float = 0.0


class AttributionReference(msgspec.Struct, frozen=True):
    """What the model made of a feature on a sample of the reference: its share of all attribution, and its moments."""

    name: str
    share: float
    mean: float
    deviation: float
    size: float
    size_deviation: float
    rows: int
    nulls: dict[Statistic, Null]


class Performance(msgspec.Struct, frozen=True):
    """How good predictions were that have labels. `error` is the standard error of the ROC AUC (DeLong).

    The ROC AUC is None when all labels are equal.
    """

    n: int
    positives: int
    roc_auc: float | None
    error: float | None
    log_loss: float
    log_loss_deviation: float
    brier: float
    calibration_error: float

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of the ROC AUC."""
        if self.roc_auc is None or self.error is None:
            return None
        return max(0.0, self.roc_auc - 1.96 * self.error), min(1.0, self.roc_auc + 1.96 * self.error)


class Reference(msgspec.Struct, frozen=True):
    """What windows are compared with. It holds for windows that end after `since`.

    `features` stand in the order of the model's inputs. `chunk` is the span that its own variation was learned over,
    `slope` what one unit of contribution (log-odds, for a classifier) moves the output by.
    """

    rows: int
    start: datetime
    end: datetime
    chunk: timedelta
    features: tuple[FeatureReference, ...]
    output: FeatureReference
    attribution: tuple[AttributionReference, ...] = ()
    slope: float = 1.0
    performance: Performance | None = None
    performance_nulls: dict[Statistic, Null] = {}
    model_version: int = 0
    since: datetime = EPOCH


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """The one error budget: the chance of any false alarm in any feature, test and window, over `windows` windows."""

    alpha: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.05
    windows: Annotated[int, msgspec.Meta(ge=1)] = 365


class MonitorDefinition(msgspec.Struct, frozen=True, kw_only=True):
    """How an endpoint is watched.

    `labels_within` is when a window's labels are counted on; `sample` rows of each window are attributed. Drift with at
    least `impact` on the output is a warning, ten times as much is critical; an alert is resolved after `quiet` windows
    without its cause.
    """

    window: timedelta = timedelta(days=1)
    labels_within: timedelta = timedelta(days=1)
    minimum_rows: Annotated[int, msgspec.Meta(ge=2)] = 30
    sample: Annotated[int, msgspec.Meta(ge=0, le=200)] = 12
    budget: Budget = Budget()
    impact: Annotated[float, msgspec.Meta(ge=0)] = 0.005
    quiet: Annotated[int, msgspec.Meta(ge=1)] = 3


class DriftScore(msgspec.Struct, frozen=True):
    """How far something is from its reference.

    `effect` is the PSI for features and outputs, and the worsening for metrics. `statistic` is the test that is most
    surprised by this window, with the chance `p_value` of being so when nothing has changed; `evidence` is what windows
    have added up to (the logarithm of an e-CUSUM). Either may break the error budget: then it has `drifted`. `impact`
    is the estimated mean change of the model's output, in units of the output; it is 0 unless drifted.
    """

    feature: str
    statistic: Statistic
    effect: float
    p_value: float
    evidence: float
    drifted: bool
    impact: float = 0.0


class AttributionShift(msgspec.Struct, frozen=True):
    """How the model uses a feature now and in the reference: its share of all attribution, its mean contribution."""

    feature: str
    share: float
    reference_share: float
    mean: float
    reference_mean: float
    p_value: float
    evidence: float
    drifted: bool


class WindowReport(msgspec.Struct, frozen=True):
    """What was seen in a window of time.

    It is reported twice: when the window ends, and again with `performance` once its labels can be counted on; then it
    is `final`. `drift` is ranked by impact, then by evidence; `impact` is the sum over what has drifted. `reference` is
    the `since` of the reference that it was compared with.
    """

    endpoint: str
    start: datetime
    end: datetime
    rows: int
    model_version: int
    reference: datetime = EPOCH
    drift: tuple[DriftScore, ...] = ()
    prediction: DriftScore | None = None
    attribution: tuple[AttributionShift, ...] = ()
    impact: float = 0.0
    labels: int = 0
    performance: Performance | None = None
    performance_drift: tuple[DriftScore, ...] = ()
    final: bool = False


class Finding(msgspec.Struct, frozen=True):
    """Something in a report that is worth an alert. `cause` is the same for as long as it is the same trouble."""

    monitor: Monitor
    cause: str
    severity: Severity
    summary: str


class Alert(msgspec.Struct, frozen=True):
    """A trouble with an endpoint, from the window that showed it first to its end. One cause has one open alert."""

    id: str
    incident: str
    endpoint: Name
    monitor: Monitor
    cause: str
    severity: Severity
    summary: str
    window: datetime
    last_seen: datetime
    opened: datetime
    resolved: datetime | None = None
    resolution: str = ""


class Incident(msgspec.Struct, frozen=True):
    """Alerts of one endpoint that overlap in time: people are told of one trouble, not of each sign of it."""

    id: str
    endpoint: Name
    opened: datetime
    closed: datetime | None = None
    alerts: int = 0


class Notice(msgspec.Struct, frozen=True):
    """What a channel is told: an alert that was opened or resolved."""

    id: str
    project: str
    change: Literal["opened", "resolved"]
    alert: Alert


class DeliveryReport(msgspec.Struct, frozen=True):
    """What became of the notices that were due."""

    sent: int
    failed: int
    waiting: int
    problems: tuple[str, ...] = ()


class MonitorStatus(msgspec.Struct, frozen=True):
    """How an endpoint stands: its last report, what is open, and since when it is compared with what."""

    endpoint: Name
    definition: MonitorDefinition
    windows: int
    reference_since: datetime | None
    report: WindowReport | None
    performance: WindowReport | None
    alerts: tuple[Alert, ...]


class ReferenceSet(Event, frozen=True, kw_only=True, tag="monitors.reference_set"):
    """From now on, windows are compared with another reference."""

    model_version: int
    rows: int


class MonitorDefined(Event, frozen=True, kw_only=True, tag="monitors.defined"):
    """How an endpoint is watched was set."""

    definition: MonitorDefinition


class AlertOpened(Event, frozen=True, kw_only=True, tag="monitors.alert_opened"):
    """Something is wrong with an endpoint."""

    alert: str
    monitor: str
    cause: str
    severity: str
    summary: str


class AlertResolved(Event, frozen=True, kw_only=True, tag="monitors.alert_resolved"):
    """It is right again, or a person said that it is."""

    alert: str
    cause: str
    resolution: str
