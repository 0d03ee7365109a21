"""What `everloop apply` installs: what is expected of the data, the features, the pipelines, and the loop."""

from __future__ import annotations

import everloop as el
from flights.features import delay
from flights.sabotage import fit_backwards
from flights.suites import suites
from flights.training import fit

__all__ = ["loop", "pipelines", "services", "suites"]

services = [delay]
pipelines = [fit, fit_backwards]

loop = el.Loop(
    model="delay",
    pipeline=fit,
    label=el.Label("late", key="flight_id", within="36h", source="schedule", at="predicted_at"),
    triggers=[el.performance("roc_auc", drop=0.03, over="14d"), el.drift(impact=0.05), el.every("45d")],
    gates=[
        el.better_than("champion", "log_loss"),
        el.no_slice_worse("carrier", by=0.05),
        el.latency(p99="20ms"),
        el.tests("flights.behaviour"),
        el.package_scan(),
    ],
    rollout=el.Canary(
        steps=[10, 50], hold="12h", guards=[el.error_rate(0.01), el.better_or_equal("log_loss"), el.minimum_labels(150)]
    ),
    limits=el.Limits(cooldown="21d", retrains_per_month=2),
)
