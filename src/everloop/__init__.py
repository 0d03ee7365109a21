"""Everloop: the whole life of a machine-learning model, closed into a loop.

`import everloop as el` gives what a project declares with (`el.Entity`, `el.step`, `el.Loop`, …) and the two ways to a
platform: `el.open(home)` in process and `el.connect(url)` over HTTP. Names are loaded at first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from everloop.kernel.version import VERSION

if TYPE_CHECKING:
    from everloop.datasets.entities import Snapshot as Snapshot
    from everloop.datasets.quality.expectations import AllNull as AllNull
    from everloop.datasets.quality.expectations import ColumnOrder as ColumnOrder
    from everloop.datasets.quality.expectations import Compare as Compare
    from everloop.datasets.quality.expectations import DistinctInRange as DistinctInRange
    from everloop.datasets.quality.expectations import Expectation as Expectation
    from everloop.datasets.quality.expectations import Freshness as Freshness
    from everloop.datasets.quality.expectations import HasColumns as HasColumns
    from everloop.datasets.quality.expectations import HasTypes as HasTypes
    from everloop.datasets.quality.expectations import Increasing as Increasing
    from everloop.datasets.quality.expectations import InRange as InRange
    from everloop.datasets.quality.expectations import Length as Length
    from everloop.datasets.quality.expectations import LikeHistory as LikeHistory
    from everloop.datasets.quality.expectations import LikeReference as LikeReference
    from everloop.datasets.quality.expectations import Matches as Matches
    from everloop.datasets.quality.expectations import MeanInRange as MeanInRange
    from everloop.datasets.quality.expectations import NoRows as NoRows
    from everloop.datasets.quality.expectations import NotMatches as NotMatches
    from everloop.datasets.quality.expectations import NotNull as NotNull
    from everloop.datasets.quality.expectations import NotOneOf as NotOneOf
    from everloop.datasets.quality.expectations import OneOf as OneOf
    from everloop.datasets.quality.expectations import QuantileInRange as QuantileInRange
    from everloop.datasets.quality.expectations import References as References
    from everloop.datasets.quality.expectations import RowCount as RowCount
    from everloop.datasets.quality.expectations import SchemaMatches as SchemaMatches
    from everloop.datasets.quality.expectations import StdInRange as StdInRange
    from everloop.datasets.quality.expectations import SumInRange as SumInRange
    from everloop.datasets.quality.expectations import Unique as Unique
    from everloop.datasets.quality.suites.declare import Suite as Suite
    from everloop.datasets.quality.suites.declare import suites_in as suites_in
    from everloop.datasets.splits.entities import ForwardChaining as ForwardChaining
    from everloop.datasets.splits.entities import GroupedKFold as GroupedKFold
    from everloop.datasets.splits.entities import GroupedSplit as GroupedSplit
    from everloop.datasets.splits.entities import HashSplit as HashSplit
    from everloop.datasets.splits.entities import KFold as KFold
    from everloop.datasets.splits.entities import RandomSplit as RandomSplit
    from everloop.datasets.splits.entities import Split as Split
    from everloop.datasets.splits.entities import StratifiedKFold as StratifiedKFold
    from everloop.datasets.splits.entities import StratifiedSplit as StratifiedSplit
    from everloop.datasets.splits.entities import TimeShares as TimeShares
    from everloop.datasets.splits.entities import TimeSplit as TimeSplit
    from everloop.datasets.splits.written import split_table as split_table
    from everloop.features.declare import Entity as Entity
    from everloop.features.declare import FeatureService as FeatureService
    from everloop.features.declare import FeatureView as FeatureView
    from everloop.features.declare import table as table
    from everloop.features.declare import window as window
    from everloop.features.entities import PinnedFeatures as PinnedFeatures
    from everloop.kernel.clock import Time as Time
    from everloop.kernel.errors import Conflict as Conflict
    from everloop.kernel.errors import Corrupted as Corrupted
    from everloop.kernel.errors import EverloopError as EverloopError
    from everloop.kernel.errors import InvalidInput as InvalidInput
    from everloop.kernel.errors import Misconfigured as Misconfigured
    from everloop.kernel.errors import NotFound as NotFound
    from everloop.kernel.errors import PermissionDenied as PermissionDenied
    from everloop.kernel.errors import Refused as Refused
    from everloop.kernel.errors import StepFailed as StepFailed
    from everloop.kernel.errors import TooLarge as TooLarge
    from everloop.kernel.errors import Unauthenticated as Unauthenticated
    from everloop.kernel.errors import Unavailable as Unavailable
    from everloop.loop.declare import BlueGreen as BlueGreen
    from everloop.loop.declare import Canary as Canary
    from everloop.loop.declare import Label as Label
    from everloop.loop.declare import Limits as Limits
    from everloop.loop.declare import Loop as Loop
    from everloop.loop.declare import Shadow as Shadow
    from everloop.loop.declare import better_or_equal as better_or_equal
    from everloop.loop.declare import better_than as better_than
    from everloop.loop.declare import checks_pass as checks_pass
    from everloop.loop.declare import drift as drift
    from everloop.loop.declare import error_rate as error_rate
    from everloop.loop.declare import every as every
    from everloop.loop.declare import latency as latency
    from everloop.loop.declare import minimum_labels as minimum_labels
    from everloop.loop.declare import new_data as new_data
    from everloop.loop.declare import no_slice_worse as no_slice_worse
    from everloop.loop.declare import package_scan as package_scan
    from everloop.loop.declare import performance as performance
    from everloop.loop.declare import tests as tests
    from everloop.monitoring.entities import Performance as Performance
    from everloop.monitoring.performance import performance_of as performance_of
    from everloop.pipelines.declare import pipeline as pipeline
    from everloop.pipelines.declare import step as step
    from everloop.pipelines.declare import step_seed as step_seed
    from everloop.pipelines.sweeps.entities import Choice as Choice
    from everloop.pipelines.sweeps.entities import FloatRange as FloatRange
    from everloop.pipelines.sweeps.entities import IntRange as IntRange
    from everloop.registry.columns import InputMatrix as InputMatrix
    from everloop.registry.columns import columns_of as columns_of
    from everloop.registry.columns import signature_of as signature_of
    from everloop.registry.entities import Field as Field
    from everloop.registry.entities import Model as Model
    from everloop.registry.entities import Provenance as Provenance
    from everloop.registry.entities import Signature as Signature
    from everloop.registry.save import save_model as save_model
    from everloop.sdk.active import load_model as load_model
    from everloop.sdk.active import pin as pin
    from everloop.sdk.active import point_in_time as point_in_time
    from everloop.sdk.active import predict as predict
    from everloop.sdk.active import read_table as read_table
    from everloop.sdk.active import register_model as register_model
    from everloop.sdk.active import require_checks as require_checks
    from everloop.sdk.active import snapshot as snapshot
    from everloop.sdk.active import split as split
    from everloop.sdk.active import urn_of as urn_of
    from everloop.sdk.active import write_table as write_table
    from everloop.sdk.autolog.switch import autolog as autolog
    from everloop.sdk.frames import runs_frame as runs_frame
    from everloop.sdk.platform import Everloop as Everloop
    from everloop.sdk.platform import connect as connect
    from everloop.sdk.platform import open as open
    from everloop.sdk.recording.here import log_audio as log_audio
    from everloop.sdk.recording.here import log_dict as log_dict
    from everloop.sdk.recording.here import log_figure as log_figure
    from everloop.sdk.recording.here import log_image as log_image
    from everloop.sdk.recording.here import log_table as log_table
    from everloop.sdk.recording.here import log_text as log_text
    from everloop.sdk.recording.run import Run as Run
    from everloop.sdk.recording.start import run as run
    from everloop.sdk.recording.warn import TrackingWarning as TrackingWarning
    from everloop.sdk.sweeping import optuna_storage as optuna_storage
    from everloop.sdk.sweeping import sweep as sweep
    from everloop.serving.configuration import Circuit as Circuit
    from everloop.serving.configuration import Code as Code
    from everloop.serving.configuration import Configuration as Configuration
    from everloop.serving.configuration import Constant as Constant
    from everloop.serving.configuration import OtherEndpoint as OtherEndpoint
    from everloop.serving.configuration import OtherVersion as OtherVersion
    from everloop.serving.configuration import Resources as Resources
    from everloop.serving.configuration import Rule as Rule
    from everloop.serving.declare import Endpoint as Endpoint
    from everloop.serving.entities import LogPolicy as LogPolicy
    from everloop.serving.nodes import Attempt as Attempt
    from everloop.serving.nodes import Branch as Branch
    from everloop.serving.nodes import Case as Case
    from everloop.serving.nodes import Ensemble as Ensemble
    from everloop.serving.nodes import Member as Member
    from everloop.serving.nodes import Sequence as Sequence
    from everloop.serving.nodes import Splitter as Splitter
    from everloop.serving.nodes import Step as Step
    from everloop.serving.nodes import Switch as Switch
    from everloop.tracking.active import active_run as active_run
    from everloop.tracking.active import log_artifact as log_artifact
    from everloop.tracking.active import log_metric as log_metric
    from everloop.tracking.active import log_metrics as log_metrics
    from everloop.tracking.active import log_parameter as log_parameter
    from everloop.tracking.active import log_parameters as log_parameters
    from everloop.tracking.active import set_tag as set_tag
    from everloop.tracking.active import set_tags as set_tags

__version__ = VERSION

_HOMES = {
    "AllNull": "everloop.datasets.quality.expectations",
    "ColumnOrder": "everloop.datasets.quality.expectations",
    "Compare": "everloop.datasets.quality.expectations",
    "DistinctInRange": "everloop.datasets.quality.expectations",
    "Expectation": "everloop.datasets.quality.expectations",
    "Freshness": "everloop.datasets.quality.expectations",
    "HasColumns": "everloop.datasets.quality.expectations",
    "HasTypes": "everloop.datasets.quality.expectations",
    "InRange": "everloop.datasets.quality.expectations",
    "Increasing": "everloop.datasets.quality.expectations",
    "Length": "everloop.datasets.quality.expectations",
    "LikeHistory": "everloop.datasets.quality.expectations",
    "LikeReference": "everloop.datasets.quality.expectations",
    "Matches": "everloop.datasets.quality.expectations",
    "MeanInRange": "everloop.datasets.quality.expectations",
    "NoRows": "everloop.datasets.quality.expectations",
    "NotMatches": "everloop.datasets.quality.expectations",
    "NotNull": "everloop.datasets.quality.expectations",
    "NotOneOf": "everloop.datasets.quality.expectations",
    "OneOf": "everloop.datasets.quality.expectations",
    "QuantileInRange": "everloop.datasets.quality.expectations",
    "References": "everloop.datasets.quality.expectations",
    "RowCount": "everloop.datasets.quality.expectations",
    "SchemaMatches": "everloop.datasets.quality.expectations",
    "StdInRange": "everloop.datasets.quality.expectations",
    "SumInRange": "everloop.datasets.quality.expectations",
    "Unique": "everloop.datasets.quality.expectations",
    "Snapshot": "everloop.datasets.entities",
    "Suite": "everloop.datasets.quality.suites.declare",
    "suites_in": "everloop.datasets.quality.suites.declare",
    "ForwardChaining": "everloop.datasets.splits.entities",
    "GroupedKFold": "everloop.datasets.splits.entities",
    "GroupedSplit": "everloop.datasets.splits.entities",
    "HashSplit": "everloop.datasets.splits.entities",
    "KFold": "everloop.datasets.splits.entities",
    "RandomSplit": "everloop.datasets.splits.entities",
    "Split": "everloop.datasets.splits.entities",
    "StratifiedKFold": "everloop.datasets.splits.entities",
    "StratifiedSplit": "everloop.datasets.splits.entities",
    "TimeShares": "everloop.datasets.splits.entities",
    "TimeSplit": "everloop.datasets.splits.entities",
    "split_table": "everloop.datasets.splits.written",
    "Entity": "everloop.features.declare",
    "FeatureService": "everloop.features.declare",
    "FeatureView": "everloop.features.declare",
    "table": "everloop.features.declare",
    "window": "everloop.features.declare",
    "PinnedFeatures": "everloop.features.entities",
    "Time": "everloop.kernel.clock",
    "Conflict": "everloop.kernel.errors",
    "Corrupted": "everloop.kernel.errors",
    "EverloopError": "everloop.kernel.errors",
    "InvalidInput": "everloop.kernel.errors",
    "Misconfigured": "everloop.kernel.errors",
    "NotFound": "everloop.kernel.errors",
    "PermissionDenied": "everloop.kernel.errors",
    "Refused": "everloop.kernel.errors",
    "StepFailed": "everloop.kernel.errors",
    "TooLarge": "everloop.kernel.errors",
    "Unauthenticated": "everloop.kernel.errors",
    "Unavailable": "everloop.kernel.errors",
    "BlueGreen": "everloop.loop.declare",
    "Canary": "everloop.loop.declare",
    "Label": "everloop.loop.declare",
    "Limits": "everloop.loop.declare",
    "Loop": "everloop.loop.declare",
    "Shadow": "everloop.loop.declare",
    "better_or_equal": "everloop.loop.declare",
    "better_than": "everloop.loop.declare",
    "checks_pass": "everloop.loop.declare",
    "drift": "everloop.loop.declare",
    "error_rate": "everloop.loop.declare",
    "every": "everloop.loop.declare",
    "latency": "everloop.loop.declare",
    "minimum_labels": "everloop.loop.declare",
    "new_data": "everloop.loop.declare",
    "no_slice_worse": "everloop.loop.declare",
    "package_scan": "everloop.loop.declare",
    "performance": "everloop.loop.declare",
    "tests": "everloop.loop.declare",
    "Performance": "everloop.monitoring.entities",
    "performance_of": "everloop.monitoring.performance",
    "pipeline": "everloop.pipelines.declare",
    "step": "everloop.pipelines.declare",
    "step_seed": "everloop.pipelines.declare",
    "Choice": "everloop.pipelines.sweeps.entities",
    "FloatRange": "everloop.pipelines.sweeps.entities",
    "IntRange": "everloop.pipelines.sweeps.entities",
    "InputMatrix": "everloop.registry.columns",
    "columns_of": "everloop.registry.columns",
    "signature_of": "everloop.registry.columns",
    "Field": "everloop.registry.entities",
    "Model": "everloop.registry.entities",
    "Provenance": "everloop.registry.entities",
    "Signature": "everloop.registry.entities",
    "save_model": "everloop.registry.save",
    "load_model": "everloop.sdk.active",
    "pin": "everloop.sdk.active",
    "point_in_time": "everloop.sdk.active",
    "predict": "everloop.sdk.active",
    "read_table": "everloop.sdk.active",
    "register_model": "everloop.sdk.active",
    "require_checks": "everloop.sdk.active",
    "snapshot": "everloop.sdk.active",
    "split": "everloop.sdk.active",
    "urn_of": "everloop.sdk.active",
    "write_table": "everloop.sdk.active",
    "autolog": "everloop.sdk.autolog.switch",
    "runs_frame": "everloop.sdk.frames",
    "Everloop": "everloop.sdk.platform",
    "connect": "everloop.sdk.platform",
    "open": "everloop.sdk.platform",
    "log_audio": "everloop.sdk.recording.here",
    "log_dict": "everloop.sdk.recording.here",
    "log_figure": "everloop.sdk.recording.here",
    "log_image": "everloop.sdk.recording.here",
    "log_table": "everloop.sdk.recording.here",
    "log_text": "everloop.sdk.recording.here",
    "Run": "everloop.sdk.recording.run",
    "run": "everloop.sdk.recording.start",
    "TrackingWarning": "everloop.sdk.recording.warn",
    "optuna_storage": "everloop.sdk.sweeping",
    "sweep": "everloop.sdk.sweeping",
    "Circuit": "everloop.serving.configuration",
    "Code": "everloop.serving.configuration",
    "Configuration": "everloop.serving.configuration",
    "Constant": "everloop.serving.configuration",
    "OtherEndpoint": "everloop.serving.configuration",
    "OtherVersion": "everloop.serving.configuration",
    "Resources": "everloop.serving.configuration",
    "Rule": "everloop.serving.configuration",
    "Endpoint": "everloop.serving.declare",
    "LogPolicy": "everloop.serving.entities",
    "Attempt": "everloop.serving.nodes",
    "Branch": "everloop.serving.nodes",
    "Case": "everloop.serving.nodes",
    "Ensemble": "everloop.serving.nodes",
    "Member": "everloop.serving.nodes",
    "Sequence": "everloop.serving.nodes",
    "Splitter": "everloop.serving.nodes",
    "Step": "everloop.serving.nodes",
    "Switch": "everloop.serving.nodes",
    "active_run": "everloop.tracking.active",
    "log_artifact": "everloop.tracking.active",
    "log_metric": "everloop.tracking.active",
    "log_metrics": "everloop.tracking.active",
    "log_parameter": "everloop.tracking.active",
    "log_parameters": "everloop.tracking.active",
    "set_tag": "everloop.tracking.active",
    "set_tags": "everloop.tracking.active",
}
"""Where each public name lives: the same as above, which is what editors and mypy read."""

__all__ = ["__version__"]
__all__ += list(_HOMES)

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module 'everloop' has no attribute {name!r}")
        found = getattr(importlib.import_module(_HOMES[name]), name)
        globals()[name] = found  # The next look-up costs nothing: `everloop.log_metric` is called in training loops.
        return found


def __dir__() -> list[str]:
    return sorted(__all__)


def load_ipython_extension(shell: object) -> None:
    """What `%load_ext everloop` calls in a notebook."""
    importlib.import_module("everloop.sdk.recording.magic").load(shell)
