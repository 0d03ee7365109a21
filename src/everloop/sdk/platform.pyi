"""The door in Python. Written by `python -m everloop.sdk.stubs` from the use cases' signatures: do not edit."""

import builtins
import collections.abc
import datetime
import everloop.catalog.entities
import everloop.catalog.holds
import everloop.datasets.changes.entities
import everloop.datasets.entities
import everloop.datasets.history.entities
import everloop.datasets.quality.entities
import everloop.datasets.quality.expectations
import everloop.datasets.quality.suites.entities
import everloop.datasets.remotes.entities
import everloop.datasets.splits.entities
import everloop.features.entities
import everloop.governance.entities
import everloop.governance.retaining.entities
import everloop.governance.runkeeping.entities
import everloop.governance.storekeeping.entities
import everloop.kernel.usecase
import everloop.loop.entities
import everloop.monitoring.entities
import everloop.packaging.entities
import everloop.packaging.manifests.entities
import everloop.packaging.sizing.entities
import everloop.pipelines.entities
import everloop.pipelines.sweeps.entities
import everloop.registry.calibration.entities
import everloop.registry.comparison.entities
import everloop.registry.compilation.entities
import everloop.registry.entities
import everloop.registry.notes.entities
import everloop.registry.policies.entities
import everloop.registry.search.entities
import everloop.registry.trust.entities
import everloop.registry.webhooks.entities
import everloop.rollouts.entities
import everloop.serving.batch.entities
import everloop.serving.configuration
import everloop.serving.entities
import everloop.store.entities
import everloop.tracking.comparison
import everloop.tracking.entities
import everloop.tracking.importance
import everloop.tracking.index.entities
import everloop.tracking.series.entities
import everloop.tracking.traces.entities
import typing
from contextlib import AbstractContextManager
from contextvars import Token
from pathlib import Path
from types import TracebackType
from typing import Self
from everloop.app.platform import Platform, open_platform
from everloop.app.remote import RemotePlatform
from everloop.catalog.session import Session
from everloop.datasets.formats import normalised
from everloop.datasets.frames import Frame, as_arrow
from everloop.datasets.parquet import put_table
from everloop.kernel.errors import Refused
from everloop.sdk.data import Data
from everloop.sdk.groups import Group, group_of, groups
from everloop.sdk.recording.places import Place, entered, place_of
from everloop.store.entities import Digest
from everloop.store.service import Store

class AuditGroup:
    """The ledger: who did what, and proof that nobody changed it."""
    def entries(self, kind: str = '', subject: str = '', before: int = 0, limit: int = 100) -> builtins.list[everloop.catalog.entities.LedgerEntry]:
        """The newest entries of the ledger, newest first."""
    def verify(self) -> everloop.catalog.entities.ChainReport:
        """Whether the ledger's hash chain is intact, and if not, the first entry that was tampered with."""

class DatasetsGroup:
    """Versions of data: snapshots, branches, differences, profiles, checks, splits."""
    def append(self, name: str, digest: everloop.store.entities.Digest, format: typing.Literal['csv', 'jsonl', 'parquet', 'arrow'], note: str = '', branch: str = 'main', evolve: typing.Literal['compatible', 'any'] = 'compatible', source: str = '') -> everloop.datasets.entities.Snapshot:
        """Add the rows of a file that is in the store to a table, as a version that stores only these."""
    def apply_suites(self, declared: tuple[everloop.datasets.quality.suites.entities.SuiteDeclaration, ...] | builtins.list[everloop.datasets.quality.suites.entities.SuiteDeclaration]) -> builtins.list[everloop.datasets.quality.suites.entities.AppliedSuite]:
        """Put suites in force, each with where it gates; one that is in force already stays as it is."""
    def branch(self, name: str, branch: str, at: int | str = '') -> everloop.datasets.history.entities.Branch:
        """Make a branch that stands at a version (the newest of main); one that stands elsewhere is not moved."""
    def branches(self, name: str) -> builtins.list[everloop.datasets.history.entities.Branch]:
        """The branches of a dataset, main first, then by name."""
    def check(self, name: str, version: int = 0, suite: tuple[everloop.datasets.quality.expectations.HasColumns | everloop.datasets.quality.expectations.ColumnOrder | everloop.datasets.quality.expectations.HasTypes | everloop.datasets.quality.expectations.SchemaMatches | everloop.datasets.quality.expectations.RowCount | everloop.datasets.quality.expectations.NotNull | everloop.datasets.quality.expectations.AllNull | everloop.datasets.quality.expectations.InRange | everloop.datasets.quality.expectations.OneOf | everloop.datasets.quality.expectations.NotOneOf | everloop.datasets.quality.expectations.Matches | everloop.datasets.quality.expectations.NotMatches | everloop.datasets.quality.expectations.Length | everloop.datasets.quality.expectations.Compare | everloop.datasets.quality.expectations.Increasing | everloop.datasets.quality.expectations.Unique | everloop.datasets.quality.expectations.References | everloop.datasets.quality.expectations.NoRows | everloop.datasets.quality.expectations.MeanInRange | everloop.datasets.quality.expectations.StdInRange | everloop.datasets.quality.expectations.SumInRange | everloop.datasets.quality.expectations.QuantileInRange | everloop.datasets.quality.expectations.DistinctInRange | everloop.datasets.quality.expectations.Freshness | everloop.datasets.quality.expectations.LikeHistory | everloop.datasets.quality.expectations.LikeReference, ...] | builtins.list[everloop.datasets.quality.expectations.HasColumns | everloop.datasets.quality.expectations.ColumnOrder | everloop.datasets.quality.expectations.HasTypes | everloop.datasets.quality.expectations.SchemaMatches | everloop.datasets.quality.expectations.RowCount | everloop.datasets.quality.expectations.NotNull | everloop.datasets.quality.expectations.AllNull | everloop.datasets.quality.expectations.InRange | everloop.datasets.quality.expectations.OneOf | everloop.datasets.quality.expectations.NotOneOf | everloop.datasets.quality.expectations.Matches | everloop.datasets.quality.expectations.NotMatches | everloop.datasets.quality.expectations.Length | everloop.datasets.quality.expectations.Compare | everloop.datasets.quality.expectations.Increasing | everloop.datasets.quality.expectations.Unique | everloop.datasets.quality.expectations.References | everloop.datasets.quality.expectations.NoRows | everloop.datasets.quality.expectations.MeanInRange | everloop.datasets.quality.expectations.StdInRange | everloop.datasets.quality.expectations.SumInRange | everloop.datasets.quality.expectations.QuantileInRange | everloop.datasets.quality.expectations.DistinctInRange | everloop.datasets.quality.expectations.Freshness | everloop.datasets.quality.expectations.LikeHistory | everloop.datasets.quality.expectations.LikeReference] = ...) -> everloop.datasets.quality.entities.CheckReport:
        """Check a version against what is expected of its dataset, or against another suite, and keep the report."""
    def check_report(self, name: str, number: int = 0, format: typing.Literal['markdown', 'html'] = 'markdown') -> str:
        """A report of a check as a page of its own: Markdown for a pull request, HTML with plots; 0 is the newest."""
    def checks(self, name: str) -> builtins.list[everloop.datasets.quality.entities.CheckReport]:
        """The reports of a dataset's checks, newest first."""
    def commit(self, name: str, digest: everloop.store.entities.Digest, format: typing.Literal['csv', 'jsonl', 'parquet', 'arrow'], note: str = '', branch: str = 'main', base: int = 0, on_failure: typing.Literal['', 'refuse', 'quarantine', 'keep'] = '', evolve: typing.Literal['compatible', 'any'] = 'compatible', source: str = '') -> everloop.datasets.entities.Snapshot:
        """Commit a table's file that is in the store as the next version of a branch; what its head holds gives the head."""
    def commit_files(self, name: str, digest: everloop.store.entities.Digest, note: str = '', branch: str = 'main', base: int = 0) -> everloop.datasets.entities.Snapshot:
        """Commit a tree of files that is in the store as the next version of a branch; what its head holds gives the head."""
    def compact(self, name: str, branch: str = 'main') -> everloop.datasets.entities.Snapshot:
        """Write a table that has layers anew as one file, as a version with the same rows in the same order."""
    def delete_branch(self, name: str, branch: str) -> None:
        """Delete a branch; its versions stay, by their numbers."""
    def delete_rows(self, name: str, digest: everloop.store.entities.Digest, format: typing.Literal['csv', 'jsonl', 'parquet', 'arrow'], keys: tuple[str, ...] | builtins.list[str], note: str = '', branch: str = 'main') -> everloop.datasets.entities.Snapshot:
        """Take the rows out of a table whose keys stand in a file that is in the store. Older versions still have them."""
    def derive(self, name: str, sql: str, inputs: tuple[str, ...] | builtins.list[str], note: str = '') -> everloop.datasets.entities.Snapshot:
        """Commit the result of a query over snapshots; it calls `flights@2` flights and `photos/meta/labels.csv` labels."""
    def diff(self, name: str, before: int | str, after: int | str = '') -> everloop.datasets.entities.SnapshotDiff:
        """How a dataset's columns and rows changed between two versions; the newest of main unless `after` says another."""
    def diff_files(self, name: str, before: int | str, after: int | str = '', below: str = '', limit: int = 1000) -> everloop.datasets.history.entities.FilesDiff:
        """Which files came, went, changed or were renamed between two versions, all or those below a folder."""
    def diff_rows(self, name: str, before: int | str, after: int | str = '', keys: tuple[str, ...] | builtins.list[str] = ..., limit: int = 20) -> everloop.datasets.history.entities.RowDiff:
        """Which rows came, went or changed between two versions, with the cells that changed."""
    def erase_subject(self, name: str, column: str, value: str, also: tuple[str, ...] | builtins.list[str] = ..., dry_run: bool = True) -> everloop.datasets.splits.entities.ErasureReport:
        """Write new versions without a subject's rows where branches stand, and tell what still holds it."""
    def expect(self, name: str, expectations: tuple[everloop.datasets.quality.expectations.HasColumns | everloop.datasets.quality.expectations.ColumnOrder | everloop.datasets.quality.expectations.HasTypes | everloop.datasets.quality.expectations.SchemaMatches | everloop.datasets.quality.expectations.RowCount | everloop.datasets.quality.expectations.NotNull | everloop.datasets.quality.expectations.AllNull | everloop.datasets.quality.expectations.InRange | everloop.datasets.quality.expectations.OneOf | everloop.datasets.quality.expectations.NotOneOf | everloop.datasets.quality.expectations.Matches | everloop.datasets.quality.expectations.NotMatches | everloop.datasets.quality.expectations.Length | everloop.datasets.quality.expectations.Compare | everloop.datasets.quality.expectations.Increasing | everloop.datasets.quality.expectations.Unique | everloop.datasets.quality.expectations.References | everloop.datasets.quality.expectations.NoRows | everloop.datasets.quality.expectations.MeanInRange | everloop.datasets.quality.expectations.StdInRange | everloop.datasets.quality.expectations.SumInRange | everloop.datasets.quality.expectations.QuantileInRange | everloop.datasets.quality.expectations.DistinctInRange | everloop.datasets.quality.expectations.Freshness | everloop.datasets.quality.expectations.LikeHistory | everloop.datasets.quality.expectations.LikeReference, ...] | builtins.list[everloop.datasets.quality.expectations.HasColumns | everloop.datasets.quality.expectations.ColumnOrder | everloop.datasets.quality.expectations.HasTypes | everloop.datasets.quality.expectations.SchemaMatches | everloop.datasets.quality.expectations.RowCount | everloop.datasets.quality.expectations.NotNull | everloop.datasets.quality.expectations.AllNull | everloop.datasets.quality.expectations.InRange | everloop.datasets.quality.expectations.OneOf | everloop.datasets.quality.expectations.NotOneOf | everloop.datasets.quality.expectations.Matches | everloop.datasets.quality.expectations.NotMatches | everloop.datasets.quality.expectations.Length | everloop.datasets.quality.expectations.Compare | everloop.datasets.quality.expectations.Increasing | everloop.datasets.quality.expectations.Unique | everloop.datasets.quality.expectations.References | everloop.datasets.quality.expectations.NoRows | everloop.datasets.quality.expectations.MeanInRange | everloop.datasets.quality.expectations.StdInRange | everloop.datasets.quality.expectations.SumInRange | everloop.datasets.quality.expectations.QuantileInRange | everloop.datasets.quality.expectations.DistinctInRange | everloop.datasets.quality.expectations.Freshness | everloop.datasets.quality.expectations.LikeHistory | everloop.datasets.quality.expectations.LikeReference]) -> everloop.datasets.quality.entities.Suite:
        """Say what is expected of a dataset from now on; it replaces what was expected before."""
    def expectations(self, name: str) -> everloop.datasets.quality.entities.Suite:
        """What is expected of a dataset."""
    def export(self, name: str, folder: str, format: typing.Literal['parquet', 'csv', 'arrow', 'delta', 'iceberg'], at: int | str = '') -> str:
        """Write a version of a table for other systems, below a folder of the machine that Everloop runs on; its path."""
    def export_suite(self, name: str, format: typing.Literal['yaml', 'great_expectations'] = 'yaml') -> str:
        """The suite in force as a file: YAML with the comments it was imported with, or for another tool."""
    def files(self, name: str, at: int | str = '', below: str = '', limit: int = 1000) -> builtins.list[everloop.datasets.history.entities.FileEntry]:
        """The files of a version, by path: all, or those below a folder."""
    def gate(self, name: str, at: tuple[typing.Literal['commit', 'merge', 'training', 'deployment'], ...] | builtins.list[typing.Literal['commit', 'merge', 'training', 'deployment']], on_failure: typing.Literal['refuse', 'quarantine'] = 'refuse') -> everloop.datasets.quality.suites.entities.Gating:
        """Let the suite of a dataset stand in the way at some places (commit, merge, training, deployment), or at none."""
    def gates(self, name: str) -> everloop.datasets.quality.suites.entities.Gating:
        """Where the suite of a dataset stands in the way, and what becomes of a commit that fails it."""
    def get(self, name: str, version: int = 0, at: int | str = '') -> everloop.datasets.entities.Snapshot:
        """A version of a dataset; 0 is the newest of main, and `at` may be a tag, a branch or a time."""
    def import_suite(self, name: str, text: str, format: typing.Literal['yaml', 'pandera', 'great_expectations', 'dbt', 'odcs'] = 'yaml', dry_run: bool = False) -> everloop.datasets.quality.suites.entities.ImportedSuite:
        """Put a suite in force that a file holds: our YAML, pandera's, Great Expectations', dbt's, or an ODCS contract."""
    def import_url(self, name: str, url: str, note: str = '') -> everloop.datasets.entities.Snapshot:
        """Commit the files under a URL without downloading them: each by its size and ETag (or when it was modified)."""
    def list(self) -> builtins.list[everloop.datasets.entities.Dataset]:
        """Every dataset, by name."""
    def log(self, name: str, at: int | str = '', limit: int = 0) -> builtins.list[everloop.datasets.entities.Snapshot]:
        """Every version of a dataset, newest first; with `at` only those that led to it, by way of both sides of merges."""
    def materialize(self, name: str, at: int | str = '', note: str = '') -> everloop.datasets.entities.Snapshot:
        """Download what a version refers to, and commit the bytes as the next version; what has changed is refused."""
    def merge(self, name: str, branch: str, into: str = 'main', keys: tuple[str, ...] | builtins.list[str] = ..., on_conflict: typing.Literal['fail', 'ours', 'theirs'] = 'fail', dry_run: bool = False) -> everloop.datasets.history.entities.Merge:
        """Bring what a branch has into another: files by path, tables row by row and cell by cell."""
    def preview(self, name: str, version: int = 0, limit: int = 20) -> builtins.list[dict[str, everloop.kernel.usecase.Json]]:
        """The first rows of a version; times are in ISO 8601."""
    def profile(self, name: str, version: int = 0) -> everloop.datasets.entities.Profile:
        """What each column of a version holds: missing values, range, mean, quantiles, most frequent values."""
    def prove(self, id: str, duplicates: bool = False) -> everloop.datasets.splits.entities.Proof:
        """Prove again, from what the store holds now, that the parts of a split share nothing."""
    def purge(self, name: str, version: int, reason: str) -> everloop.datasets.splits.entities.PurgeReport:
        """Give up the bytes of a version for good; its name and what led to it stay, and reading it tells the reason."""
    def quarantine(self, name: str, version: int = 0) -> everloop.datasets.quality.suites.entities.Quarantined:
        """Set the rows of a version aside that fail: they become `<name>.quarantine`, the rest the next version."""
    def query(self, sql: str, inputs: tuple[str, ...] | builtins.list[str], limit: int = 100) -> builtins.list[dict[str, everloop.kernel.usecase.Json]]:
        """The first rows of what a query over snapshots gives (see `derive`); nothing is kept or changed."""
    def register(self, name: str, url: str, format: typing.Literal['delta', 'iceberg', 'parquet'], version: str = '', note: str = '') -> everloop.datasets.entities.Snapshot:
        """Make a table of another system a version of a dataset, where it is: its rows are not copied."""
    def revert(self, name: str, version: int | str, note: str = '', branch: str = 'main') -> everloop.datasets.entities.Snapshot:
        """Make what an older version holds the next version of a branch; nothing of what came between is lost."""
    def schema(self, name: str, at: int | str = '') -> everloop.datasets.changes.entities.Schema:
        """The columns of a version, and in which of the versions that led to it they changed, and how."""
    def split(self, name: str, strategy: everloop.datasets.splits.entities.RandomSplit | everloop.datasets.splits.entities.StratifiedSplit | everloop.datasets.splits.entities.GroupedSplit | everloop.datasets.splits.entities.HashSplit | everloop.datasets.splits.entities.TimeSplit | everloop.datasets.splits.entities.TimeShares | everloop.datasets.splits.entities.KFold | everloop.datasets.splits.entities.StratifiedKFold | everloop.datasets.splits.entities.GroupedKFold | everloop.datasets.splits.entities.ForwardChaining, seed: int = 0, at: int | str = '') -> everloop.datasets.splits.entities.Split:
        """Cut a version into parts, each a version of its own (`flights.train@1`), with proof that they share nothing."""
    def splits(self, name: str) -> builtins.list[everloop.datasets.splits.entities.Split]:
        """The splits of a dataset's versions, newest first."""
    def subject(self, name: str, column: str, value: str) -> everloop.datasets.splits.entities.SubjectReport:
        """Everywhere that a subject is: the versions and files that hold rows with the value, and what was made of them."""
    def suggest(self, name: str, version: int = 0) -> str:
        """A suite that a version passes, inferred from its profile, with the reasons as comments: a file to edit."""
    def tag(self, name: str, tag: str, at: int | str = '', note: str = '', force: bool = False) -> everloop.datasets.history.entities.Tag:
        """Name a version (the newest of main) for good; only `force` gives the name to another version."""
    def tags(self, name: str) -> builtins.list[everloop.datasets.history.entities.Tag]:
        """The tags of a dataset, by name."""
    def untag(self, name: str, tag: str) -> None:
        """Take a name away from a version."""
    def upsert(self, name: str, digest: everloop.store.entities.Digest, format: typing.Literal['csv', 'jsonl', 'parquet', 'arrow'], keys: tuple[str, ...] | builtins.list[str], note: str = '', branch: str = 'main', evolve: typing.Literal['compatible', 'any'] = 'compatible', source: str = '') -> everloop.datasets.entities.Snapshot:
        """Put the rows of a file that is in the store in place of those with their keys, and add those with new keys."""
    def verify_import(self, name: str, at: int | str = '') -> everloop.datasets.remotes.entities.ImportCheck:
        """Whether the files that a version refers to are still what they were, and which are changed, missing or new."""

class EndpointsGroup:
    """Endpoints, deployments, traffic, predictions, labels."""
    def apply(self, endpoint: everloop.serving.entities.EndpointDeclaration) -> everloop.serving.entities.AppliedEndpoint:
        """Have an endpoint answer as it is declared: the version that it has now, in the declared configuration."""
    def compact_log(self, name: str) -> everloop.serving.entities.Compaction:
        """Turn the finished segments of an endpoint's log into Parquet files by day, and let go of days past retention."""
    def create(self, name: str, model: str, features: str = '', label_key: str = '', version: int = 0) -> everloop.serving.entities.Endpoint:
        """Make an endpoint that answers with a version of a model, the newest by default."""
    def deploy(self, name: str, version: int = 0, configuration: everloop.serving.configuration.Configuration | None = None, resources: everloop.serving.configuration.Resources | None = None, package: str = '') -> everloop.serving.entities.Deployment:
        """Make a model version (the newest by default) a deployment of an endpoint; it has no traffic yet."""
    def deployments(self, name: str) -> builtins.list[everloop.serving.entities.Deployment]:
        """The deployments of an endpoint, oldest first."""
    def feedback(self, name: str, labels: tuple[everloop.serving.entities.Label, ...] | builtins.list[everloop.serving.entities.Label]) -> everloop.serving.entities.FeedbackReceipt:
        """Send the truth about units that predictions were made for; a key's first label counts."""
    def get(self, name: str) -> everloop.serving.entities.Endpoint:
        """An endpoint with its traffic."""
    def list(self) -> builtins.list[everloop.serving.entities.Endpoint]:
        """Every endpoint, by name."""
    def manifest(self, name: str, kind: typing.Literal['kubernetes', 'kserve', 'helm', 'compose', 'systemd', 'ecs', 'sagemaker', 'lambda', 'cloudrun', 'vertex', 'containerapps', 'azureml', 'github', 'gitlab'] = 'kubernetes', image: str = '', placement: everloop.packaging.manifests.entities.Placement = ...) -> everloop.packaging.manifests.entities.Manifests:
        """The files that serve an endpoint elsewhere: each deployment that has traffic, and the division between them."""
    def prediction(self, name: str, id: str) -> everloop.serving.entities.PredictionRecord:
        """A prediction, with its label if one has come."""
    def predictions(self, name: str, limit: int = 100, before: str = '') -> builtins.list[everloop.serving.entities.PredictionRecord]:
        """The newest predictions of an endpoint, newest first, without their labels."""
    def reveal(self, name: str, id: str) -> everloop.serving.entities.PredictionRecord:
        """A prediction with its sealed values opened; the events keep who asked."""
    def rollback(self, name: str) -> everloop.serving.entities.Endpoint:
        """Give all traffic back to one deployment: the stable one if others have a share, else the one before it."""
    def set_log_policy(self, name: str, policy: everloop.serving.entities.LogPolicy) -> everloop.serving.entities.Endpoint:
        """Decide what is kept of an endpoint's predictions from now on, and how; what was logged before stays as it is."""
    def set_traffic(self, name: str, shares: tuple[everloop.serving.entities.Share, ...] | builtins.list[everloop.serving.entities.Share], expected_revision: int = 0) -> everloop.serving.entities.Endpoint:
        """Divide an endpoint's traffic anew; as few units as possible meet another deployment than before."""
    def traffic_history(self, name: str) -> builtins.list[everloop.serving.entities.TrafficChange]:
        """Every division of the traffic that an endpoint has had, newest first."""

class ExperimentsGroup:
    """Groups of runs."""
    def create(self, name: str, description: str = '') -> everloop.tracking.entities.Experiment:
        """A new experiment."""
    def delete(self, name: str) -> everloop.tracking.entities.Experiment:
        """Put an experiment out of sight, and close it to new runs; it can be restored."""
    def delete_tag(self, name: str, key: str) -> everloop.tracking.entities.Experiment:
        """Take a tag from an experiment."""
    def describe(self, name: str, description: str) -> everloop.tracking.entities.Experiment:
        """Say what an experiment is about, in Markdown."""
    def get(self, name: str) -> everloop.tracking.entities.Experiment:
        """One experiment."""
    def list(self, deleted: bool = False) -> builtins.list[everloop.tracking.entities.Experiment]:
        """Every experiment, by name; or those that were deleted."""
    def rename(self, name: str, title: str) -> everloop.tracking.entities.Experiment:
        """Call an experiment something else; its name, by which it is found, stays."""
    def restore(self, name: str) -> everloop.tracking.entities.Experiment:
        """Bring a deleted experiment back."""
    def set_tags(self, name: str, tags: dict[str, str]) -> everloop.tracking.entities.Experiment:
        """Set tags of an experiment."""

class FeaturesGroup:
    """Entities, feature views, point-in-time joins, the online store."""
    def apply(self, services: tuple[everloop.features.entities.FeatureService, ...] | builtins.list[everloop.features.entities.FeatureService]) -> builtins.list[everloop.features.entities.AppliedService]:
        """Install feature services with their views, checked against the newest snapshots of their sources."""
    def lookup(self, service: str, keys: dict[str, builtins.list[str]], at: datetime.datetime | None = None) -> builtins.list[dict[str, float | None]]:
        """What the online store has for some entities: a row for each, None where nothing is known at `at` (now)."""
    def materializations(self, service: str = '', limit: int = 20) -> builtins.list[everloop.features.entities.Materialization]:
        """What `features.materialize` did, newest first."""
    def materialize(self, service: str, until: datetime.datetime | None = None) -> everloop.features.entities.Materialization:
        """Bring the online store to what was known at `until` (now, when it is not given)."""
    def pin(self, service: str, version: int = 0) -> everloop.features.entities.PinnedFeatures:
        """A version of a feature service with the newest snapshots of its sources: what a pipeline's step is handed."""
    def service(self, name: str, version: int = 0) -> everloop.features.entities.FeatureService:
        """A version of a feature service; 0 is the newest."""
    def services(self) -> builtins.list[everloop.features.entities.AppliedService]:
        """The newest version of every feature service, by name."""
    def training_set(self, service: str, dataset: str, at: str, name: str, version: int = 0) -> everloop.datasets.entities.Snapshot:
        """Commit the point-in-time join of a dataset (`flights` or `flights@2`) with a service's features as `name`."""
    def views(self) -> builtins.list[everloop.features.entities.AppliedView]:
        """The newest version of every feature view, by name."""

class GovernanceGroup:
    """Principals, roles, legal holds, retention, the compliance report."""
    def grant(self, principal: str, roles: tuple[typing.Literal['reader', 'contributor', 'deployer', 'owner'], ...] | builtins.list[typing.Literal['reader', 'contributor', 'deployer', 'owner']]) -> everloop.governance.entities.Principal:
        """Give a principal exactly these roles, in every project; it is made if it is new."""
    def hold(self, urn: str, reason: str) -> everloop.catalog.holds.Hold:
        """Let nobody delete something for good: the URN of a run, experiment, logged model, model or version of one."""
    def holds(self) -> builtins.list[everloop.catalog.holds.Hold]:
        """What is held, by URN."""
    def principals(self) -> builtins.list[everloop.governance.entities.Principal]:
        """Everybody who was given a role, by name."""
    def projects(self) -> builtins.list[str]:
        """The names of the projects that anything was kept in, and of this one."""
    def release(self, urn: str, reason: str) -> everloop.catalog.holds.Hold:
        """End a hold, and give what it was."""
    def revoke(self, principal: str) -> everloop.governance.entities.Principal:
        """Take a principal's roles and tokens away, and give what it was."""

class LineageGroup:
    """What came from what."""
    def graph(self, urn: str, direction: typing.Literal['upstream', 'downstream', 'both'] = 'both', depth: int = 20) -> everloop.catalog.entities.LineageGraph:
        """What a thing came from, and what came from it, up to `depth` edges away."""

class LoopsGroup:
    """Triggers, gates, the controller, simulation, reproduction."""
    def apply(self, loop: everloop.loop.entities.Loop) -> everloop.loop.entities.AppliedLoop:
        """Install a loop, or change it; an unchanged declaration keeps its revision."""
    def candidates(self, name: str, limit: int = 100) -> builtins.list[everloop.loop.entities.Candidate]:
        """The candidates of a loop, newest first, each with what its gates said and what became of it."""
    def get(self, name: str) -> everloop.loop.entities.AppliedLoop:
        """A loop as it was last applied."""
    def list(self) -> builtins.list[everloop.loop.entities.AppliedLoop]:
        """Every loop, by name."""
    def propose(self, name: str, execution: str = '', pipeline: str = '', arguments: dict[str, everloop.kernel.usecase.Json] = ..., skip_gates: bool = False, reason: str = '') -> everloop.loop.entities.Candidate:
        """Make a candidate by hand; the next tick takes it up."""
    def replay(self, execution: str) -> everloop.loop.entities.Replay:
        """Run an execution again without the memo, and give the digests of what came out, and of the environment."""
    def reproduce(self, model: str, version: int = 0, alias: str = '') -> everloop.loop.entities.Reproduction:
        """Make a model version again in a fresh process, from the data it came from, and compare every digest."""
    def rollback(self, name: str, reason: str) -> everloop.loop.entities.LoopStatus:
        """Stop the rollout that is running; if there is none, move alias and traffic back to the champion before. One"""
    def simulate(self, name: str, start: datetime.datetime, end: datetime.datetime, policies: tuple[str, ...] | builtins.list[str] = ..., timezone: str = 'UTC') -> everloop.loop.entities.SimulationReport:
        """Let policies go through the same history: how good, how often retrained, at what cost, month by month."""
    def status(self, name: str) -> everloop.loop.entities.LoopStatus:
        """How a loop stands: its champion, the candidate on its way, what it has done, and what holds it back."""
    def tick(self, name: str) -> everloop.loop.entities.TickReport:
        """Everything that the controller does at one moment; a tick that finds nothing to do costs a few milliseconds."""
    def trace(self, what: str, forward: bool = False) -> everloop.loop.entities.Trace:
        """From a prediction (its id or URN), a model version or anything with a URN, step by step to the bytes of data."""

class ModelsGroup:
    """Registered models, versions, aliases, approvals, policies."""
    def aliases(self, name: str) -> builtins.list[everloop.registry.entities.Alias]:
        """The aliases of a model, by name."""
    def approvals(self, name: str, version: int) -> builtins.list[everloop.registry.entities.Approval]:
        """The decisions about a version, newest first."""
    def approve(self, name: str, version: int, decision: typing.Literal['approved', 'rejected'], reason: str, evidence: collections.abc.Mapping[str, everloop.kernel.usecase.Json] = ...) -> everloop.registry.entities.Approval:
        """Record a decision about a version, by who asks, with what it was based on."""
    def calibrate(self, name: str, version: int = 0, alpha: float = 0.1) -> everloop.registry.calibration.entities.Calibration:
        """Measure on a version's holdout how far the truth lies from its answers, all but the part `alpha` of the time."""
    def calibrations(self, name: str, version: int = 0) -> builtins.list[everloop.registry.calibration.entities.Calibration]:
        """How far a version's answers lie from the truth, for each share of misses that was measured."""
    def card(self, name: str, version: int = 0) -> str:
        """The model card as Markdown, with the decisions about the version and where it came from."""
    def card_revisions(self, name: str, version: int) -> builtins.list[everloop.registry.notes.entities.CardRevision]:
        """The later texts of a version's card, newest first."""
    def compare(self, name: str, challenger: int = 0, champion: int = 0) -> everloop.registry.comparison.entities.Comparison:
        """Two versions side by side: metrics and slices, signature, data, code and parameters."""
    def compilation(self, name: str, version: int = 0) -> everloop.registry.compilation.entities.Compilation:
        """What runs a version, why, and what was measured when it was compiled."""
    def compile(self, name: str, version: int = 0) -> everloop.registry.compilation.entities.Compilation:
        """Compile a version again, for instance one that was registered where there was no compiler."""
    def create(self, name: str, description: str = '', tags: collections.abc.Mapping[str, str] = ...) -> everloop.registry.entities.RegisteredModel:
        """Make a name that versions can be registered under; the description is Markdown."""
    def delete(self, name: str, reason: str = '') -> everloop.registry.entities.RegisteredModel:
        """Delete a model with its versions, and give what it was; made again, it goes on counting where it was."""
    def delete_alias(self, name: str, alias: str) -> everloop.registry.entities.Alias:
        """Delete an alias, and give what it was; the version stays."""
    def delete_policy(self, model: str = '') -> everloop.registry.policies.entities.Policy:
        """Delete a model's own policy, or that of the project, and give what it was."""
    def delete_tag(self, name: str, key: str, version: int = 0) -> dict[str, str]:
        """Take a tag of a model, or of one of its versions, away; gives those that are left."""
    def delete_version(self, name: str, version: int, reason: str) -> everloop.registry.entities.ModelVersion:
        """Delete a version that nothing points to, and give what it was. Its number is never given again."""
    def describe(self, name: str, description: str, version: int = 0) -> str:
        """Give a model, or one of its versions, another description, in Markdown."""
    def distrust(self, name: str, version: int, reason: str) -> everloop.registry.trust.entities.Trust:
        """Take a decision to trust back, and give what it was. Processes that run the model end it when they load next."""
    def example(self, name: str, version: int = 0) -> everloop.kernel.usecase.Json:
        """The input example that was kept with a version's files, as it was written."""
    def gates(self, name: str, version: int) -> builtins.list[everloop.registry.policies.entities.GateJudgement]:
        """What the gates of loops said of a version's very files: what a policy's `gates` are read from."""
    def get(self, name: str) -> everloop.registry.entities.RegisteredModel:
        """A model by its name."""
    def lacks(self, name: str, version: int, alias: str) -> builtins.list[str]:
        """What a version lacks before an alias may name it; nothing when it may."""
    def list(self) -> builtins.list[everloop.registry.entities.RegisteredModel]:
        """The models of the project, by name."""
    def policies(self) -> builtins.list[everloop.registry.policies.entities.Policy]:
        """The policies of the project: that of every model first, then those of single ones."""
    def promote(self, name: str, version: int, reason: str, evidence: collections.abc.Mapping[str, everloop.kernel.usecase.Json] = ..., alias: str = 'champion') -> everloop.registry.entities.Alias:
        """Approve a version and move the alias to it, both or neither."""
    def register(self, name: str, trained: everloop.registry.entities.Model, run: str = '', card: str = '', note: str = '') -> everloop.registry.entities.ModelVersion:
        """Register a trained model as the next version of a name, which is made if it is new."""
    def rename(self, name: str, title: str) -> everloop.registry.entities.RegisteredModel:
        """Call a model something else. Its name stays what it is: URNs, packages and the ledger spell it."""
    def revise_card(self, name: str, version: int, text: str, reason: str) -> everloop.registry.notes.entities.CardRevision:
        """Give a version's card another text, as a new revision: the earlier ones stay, and so does the version."""
    def search(self, filter: str = '', order_by: tuple[str, ...] | builtins.list[str] = ..., limit: int = 100, cursor: str = '') -> everloop.registry.search.entities.ModelPage:
        """The models that meet a filter such as `name LIKE 'late%' AND tags.team = 'core'`, by name."""
    def search_versions(self, filter: str = '', order_by: tuple[str, ...] | builtins.list[str] = ..., limit: int = 100, cursor: str = '') -> everloop.registry.search.entities.VersionPage:
        """The versions that meet a filter such as `name = 'late' AND version_number > 3`, last changed first."""
    def set_alias(self, name: str, alias: str, version: int) -> everloop.registry.entities.Alias:
        """Let an alias name a version; it moves when it named another."""
    def set_policy(self, policy: everloop.registry.policies.entities.Policy) -> everloop.registry.policies.entities.Policy:
        """Set what guarded aliases ask of a version, for every model of the project or for one."""
    def set_tags(self, name: str, tags: collections.abc.Mapping[str, str], version: int = 0) -> dict[str, str]:
        """Set tags of a model, or of one of its versions; gives all of its tags."""
    def tags(self, name: str, version: int = 0) -> dict[str, str]:
        """The tags of a model, or of one of its versions."""
    def transition(self, name: str, version: int, stage: str, archive_existing: bool = False) -> everloop.registry.entities.ModelVersion:
        """Put a version into one of MLflow's stages (None, Staging, Production, Archived); the stage's alias goes along."""
    def trust(self, name: str, version: int, reason: str) -> everloop.registry.trust.entities.Trust:
        """Let the code that a version brings along run, in a sandbox without network; for its very files only."""
    def trusted(self, name: str, version: int = 0) -> builtins.list[everloop.registry.trust.entities.Trust]:
        """The decisions to trust versions of a model (or one of them) that stand, newest first."""
    def version(self, name: str, version: int = 0, alias: str = '') -> everloop.registry.entities.ModelVersion:
        """A version by its number or by an alias; the newest when neither is given."""
    def versions(self, name: str) -> builtins.list[everloop.registry.entities.ModelVersion]:
        """The versions of a model, newest first."""

class MonitorsGroup:
    """Drift, attribution, performance, alerts."""
    def alert(self, id: str) -> everloop.monitoring.entities.Alert:
        """An alert by its id."""
    def alerts(self, endpoint: str = '', open_only: bool = False, limit: int = 100) -> builtins.list[everloop.monitoring.entities.Alert]:
        """The newest alerts, of one endpoint or of all, newest first."""
    def define(self, endpoint: str, definition: everloop.monitoring.entities.MonitorDefinition) -> everloop.monitoring.entities.MonitorDefinition:
        """Say how an endpoint is watched; without this the defaults hold."""
    def definition(self, endpoint: str) -> everloop.monitoring.entities.MonitorDefinition:
        """How an endpoint is watched."""
    def deliver(self) -> everloop.monitoring.entities.DeliveryReport:
        """Send the notices of alerts that are due to every channel; a channel that fails is told in the report."""
    def incidents(self, endpoint: str = '', limit: int = 100) -> builtins.list[everloop.monitoring.entities.Incident]:
        """The newest incidents, of one endpoint or of all, newest first."""
    def observe(self, endpoint: str, report: everloop.monitoring.entities.WindowReport) -> builtins.list[everloop.monitoring.entities.Alert]:
        """Keep a report, and open, carry on or resolve alerts as it says; the alerts that it opened."""
    def references(self, endpoint: str) -> builtins.list[everloop.monitoring.entities.Reference]:
        """Every reference that an endpoint has had, oldest first; the last one holds."""
    def reports(self, endpoint: str, limit: int = 100, final: bool = False) -> builtins.list[everloop.monitoring.entities.WindowReport]:
        """The newest reports of an endpoint, newest first; with `final`, only those whose performance is known."""
    def resolve(self, id: str, resolution: str = '') -> everloop.monitoring.entities.Alert:
        """Close an alert by hand; if its cause goes on, the next window opens another one."""
    def set_reference(self, endpoint: str, reference: everloop.monitoring.entities.Reference) -> everloop.monitoring.entities.Reference:
        """From now on, compare an endpoint's windows with another reference; the reference as it is kept."""
    def status(self, endpoint: str) -> everloop.monitoring.entities.MonitorStatus:
        """How an endpoint stands."""

class PackagesGroup:
    """Models packed to run elsewhere."""
    def build(self, model: str, version: int = 0, alias: str = '', form: typing.Literal['archive', 'image', 'executable', 'lambda', 'wheel', 'sagemaker', 'vertex', 'azureml'] = 'archive') -> everloop.packaging.entities.Package:
        """Pack a version (the newest, unless a number or an alias says which) into a form that runs elsewhere."""
    def check_signature(self, model: str, version: int = 0, form: str = '', public_key: str = '') -> everloop.packaging.entities.SignatureCheck:
        """Whether a package is what the holder of a key signed: a public key as PEM, or else the platform's own."""
    def create_key(self) -> everloop.packaging.entities.PublicKey:
        """Make the key that packages are signed with from now on, and give its public half."""
    def files(self, model: str, version: int = 0, form: str = '') -> builtins.list[everloop.store.entities.TreeEntry]:
        """The files of a package that is a folder (an image's layout), or the one file that it is."""
    def get(self, model: str, version: int = 0, form: str = '') -> everloop.packaging.entities.Package:
        """The newest package of a version (of the newest version, unless a number says which), in a form or any."""
    def key(self) -> everloop.packaging.entities.PublicKey:
        """The public half of the key that packages are signed with: give it to those who check signatures."""
    def list(self, model: str = '') -> builtins.list[everloop.packaging.entities.Package]:
        """The packages of a model, or all, newest first."""
    def manifest(self, model: str, version: int = 0, kind: typing.Literal['kubernetes', 'kserve', 'helm', 'compose', 'systemd', 'ecs', 'sagemaker', 'lambda', 'cloudrun', 'vertex', 'containerapps', 'azureml', 'github', 'gitlab'] = 'kubernetes', image: str = '', placement: everloop.packaging.manifests.entities.Placement = ...) -> everloop.packaging.manifests.entities.Manifests:
        """The files that serve a version (the newest, unless a number says which) elsewhere."""
    def measure(self, model: str, version: int = 0, latency_ms: float = 50.0, quick: bool = False) -> everloop.packaging.sizing.entities.ModelProfile:
        """Serve a version (the newest, unless a number says which) in a process of its own, and put it under load."""
    def profile(self, model: str, version: int = 0) -> everloop.packaging.sizing.entities.ModelProfile:
        """What was measured last of a version (the newest, unless a number says which)."""
    def push(self, model: str, reference: str, version: int = 0, form: typing.Literal['archive', 'image', 'executable', 'lambda', 'wheel', 'sagemaker', 'vertex', 'azureml'] = 'image') -> everloop.packaging.entities.Pushed:
        """Send an image to a registry (`REGISTRY/NAME:TAG`), with the credentials of `docker login`."""
    def scan(self, model: str, version: int = 0) -> builtins.list[everloop.registry.entities.Finding]:
        """What is unsafe in a version's files: pickles that would run something, files that do not belong, native code."""
    def sign(self, model: str, version: int = 0, form: str = '') -> everloop.packaging.entities.Package:
        """Sign a package with the platform's key, after the OpenSSF's model signing; a signature of before is replaced."""
    def size(self, model: str, rate: float, latency_ms: float = 50.0, version: int = 0, prices: tuple[everloop.packaging.sizing.entities.Price, ...] | builtins.list[everloop.packaging.sizing.entities.Price] = ...) -> everloop.packaging.sizing.entities.Sizing:
        """Replicas, cores, memory and cost for so many requests a second, of which 99 of 100 are to meet a latency."""
    def verify(self, model: str, version: int = 0, form: str = '') -> everloop.packaging.entities.Verification:
        """Unpack a version's package, run it with nothing of this installation, and compare its scores with the model's."""

class PipelinesGroup:
    """Steps with a memo, and their executions."""
    def apply(self, definitions: tuple[everloop.pipelines.entities.PipelineDefinition, ...] | builtins.list[everloop.pipelines.entities.PipelineDefinition]) -> builtins.list[everloop.pipelines.entities.PipelineDefinition]:
        """Declare pipelines; one that is there with the same name is replaced when it differs."""
    def execution(self, id: str) -> everloop.pipelines.entities.Execution:
        """One execution with its steps."""
    def executions(self, pipeline: str = '', limit: int = 100) -> builtins.list[everloop.pipelines.entities.Execution]:
        """The newest executions, of one pipeline or of all."""
    def get(self, name: str) -> everloop.pipelines.entities.PipelineDefinition:
        """One declared pipeline."""
    def list(self) -> builtins.list[everloop.pipelines.entities.PipelineDefinition]:
        """Every declared pipeline, by name."""
    def replay(self, id: str, fresh: bool = True) -> everloop.pipelines.entities.Execution:
        """Run an execution again with its arguments and the code as it is now; `fresh` executes every step."""
    def run(self, name: str, arguments: dict[str, everloop.kernel.usecase.Json] = ...) -> everloop.pipelines.entities.Execution:
        """Run a declared pipeline; steps whose code and arguments have not changed are not executed again."""

class PredictionsGroup:
    """Predictions for whole datasets."""
    def batch(self, model: str, dataset: str, into: str, version: int = 0, alias: str = '', options: everloop.serving.batch.entities.BatchOptions = ...) -> everloop.datasets.entities.Snapshot:
        """Predict every row of a dataset's version (`flights`, `flights@2`) into a version of the dataset `into`."""

class RemotesGroup:
    """Other stores that versions of data are pushed to and pulled from."""
    def add(self, name: str, url: str) -> everloop.datasets.remotes.entities.Remote:
        """Give a place a name, after trying what it can do: read, list, write, and write under conditions."""
    def gc(self, name: str, dry_run: bool = True, grace: str = '7d') -> everloop.store.entities.SweepReport:
        """Free what no branch and no tag of any project at a remote leads to, or tell how much that is; see `store.gc`."""
    def get(self, name: str) -> everloop.datasets.remotes.entities.Remote:
        """A remote, with what it was found to do."""
    def list(self) -> builtins.list[everloop.datasets.remotes.entities.Remote]:
        """The remotes of the project, by name."""
    def pull(self, name: str, dataset: str, branch: str = 'main', below: str = '') -> everloop.datasets.remotes.entities.Pull:
        """Bring a branch or tag of a remote here as versions, or only the files below a path. Interrupted, it continues."""
    def push(self, name: str, dataset: str, branch: str = 'main') -> everloop.datasets.remotes.entities.Push:
        """Bring what a remote lacks of a branch or tag there, then point its ref to it. Interrupted, it continues."""
    def refs(self, name: str, dataset: str = '') -> builtins.list[everloop.datasets.remotes.entities.Ref]:
        """The branches and tags that a remote holds of this project (of one dataset, if named), and where they point."""
    def remove(self, name: str) -> everloop.datasets.remotes.entities.Remote:
        """Forget a remote; what it holds stays there."""

class RetentionGroup:
    """What runs keep, and for how long."""
    def apply(self, dry_run: bool = True) -> everloop.governance.retaining.entities.Applied:
        """Take away what the policies say, or tell of it; `store gc` then frees the bytes of files."""
    def declare(self, policies: dict[str, everloop.governance.retaining.entities.Declared]) -> builtins.list[everloop.governance.retaining.entities.Policy]:
        """Put the policies in force that a project declares in its `everloop.toml`, by name: `everloop apply` does it."""
    def list(self) -> builtins.list[everloop.governance.retaining.entities.Policy]:
        """The retention policies, by name."""
    def remove(self, name: str) -> everloop.governance.retaining.entities.Policy:
        """Remove a policy, and give what it was."""
    def set(self, name: str, rules: everloop.governance.retaining.entities.Rules, experiment: str = '') -> everloop.governance.retaining.entities.Policy:
        """Say what runs keep, and for how long; the controller applies it every hour."""

class RolloutsGroup:
    """Gradual rollouts with guards."""
    def abort(self, id: str, reason: str) -> everloop.rollouts.entities.Rollout:
        """Give all traffic back to the stable version."""
    def active(self, endpoint: str) -> everloop.rollouts.entities.Rollout | None:
        """The rollout that is running on an endpoint, if there is one."""
    def advance(self, id: str, evidence: everloop.rollouts.entities.Evidence) -> everloop.rollouts.entities.Rollout:
        """Let the guards judge the evidence, and move the traffic accordingly: on, to the end, back, or not at all."""
    def get(self, id: str) -> everloop.rollouts.entities.Rollout:
        """A rollout as it stands."""
    def history(self, id: str) -> builtins.list[everloop.rollouts.entities.RolloutStep]:
        """The moves of a rollout, oldest first, each with the evidence that it rested on."""
    def list(self, endpoint: str = '', limit: int = 100) -> builtins.list[everloop.rollouts.entities.Rollout]:
        """The newest rollouts, of one endpoint or of all, newest first."""
    def start(self, endpoint: str, version: int, strategy: everloop.rollouts.entities.Canary | everloop.rollouts.entities.BlueGreen | everloop.rollouts.entities.Shadow) -> everloop.rollouts.entities.Rollout:
        """Deploy a model version to an endpoint and let it meet its first traffic."""

class RunsGroup:
    """Parameters, metrics, artifacts, environment of each training."""
    def artifacts(self, id: str) -> builtins.list[everloop.tracking.entities.Artifact]:
        """The files of a run, by path."""
    def chart(self, id: str, key: str, points: int = 1000, axis: typing.Literal['step', 'time', 'relative'] = 'step', low: float | None = None, high: float | None = None) -> everloop.tracking.series.entities.Chart:
        """A metric as so many pixels, between two ends of the axis where they are given."""
    def charts(self, ids: tuple[str, ...] | builtins.list[str], keys: tuple[str, ...] | builtins.list[str], points: int = 1000, axis: typing.Literal['step', 'time', 'relative'] = 'step', low: float | None = None, high: float | None = None) -> builtins.list[everloop.tracking.series.entities.Chart]:
        """Some metrics of some runs, each as `runs.chart` draws it; those without points there are left out."""
    def compare(self, ids: tuple[str, ...] | builtins.list[str], equal: bool = False) -> everloop.tracking.comparison.Comparison:
        """What differs between runs: parameters, metrics, tags, code, packages, environment and the versions of data."""
    def delete(self, id: str) -> everloop.tracking.entities.Run:
        """Put a run out of sight, with all that it holds; it can be restored."""
    def delete_tag(self, id: str, key: str) -> everloop.tracking.entities.Run:
        """Take a tag from a running run."""
    def describe(self, id: str, note: str) -> everloop.tracking.entities.Run:
        """Give a run a note, in Markdown; also one that has ended, for a note is about it and no part of it."""
    def export(self, format: typing.Literal['csv', 'parquet', 'json'] = 'csv', columns: tuple[str, ...] | builtins.list[str] = ..., experiment: str = '', where: str = '', order: str = '') -> everloop.tracking.index.entities.Exported:
        """A file with chosen columns of all runs that `runs.search` finds (up to 50,000); it is kept in the store."""
    def finish(self, id: str, status: typing.Literal['scheduled', 'running', 'finished', 'failed', 'killed'] = 'finished', ended: datetime.datetime | None = None) -> everloop.tracking.entities.Run:
        """End a run; from now on it stays as it is, unless it is resumed."""
    def gc(self, dry_run: bool = True, older_than: str = '', runs: tuple[str, ...] | builtins.list[str] = ..., experiments: tuple[str, ...] | builtins.list[str] = ..., models: tuple[str, ...] | builtins.list[str] = ...) -> everloop.governance.runkeeping.entities.RunsGc:
        """Free for good what was deleted `30d` ago or longer, or tell of it: runs, logged models, whole experiments."""
    def get(self, id: str) -> everloop.tracking.entities.Run:
        """One run."""
    def history(self, id: str, key: str) -> builtins.list[everloop.tracking.entities.MetricPoint]:
        """Every point of a metric by time, step and value; for long series `runs.points` gives columns."""
    def importance(self, metric: str, experiment: str = '', where: str = '') -> everloop.tracking.importance.Importances:
        """Which parameters explain a metric, over the runs that `runs.search` finds (the newest 20,000)."""
    def log(self, id: str, metrics: tuple[everloop.tracking.entities.MetricPoint, ...] | builtins.list[everloop.tracking.entities.MetricPoint] = ..., parameters: dict[str, str] = ..., tags: dict[str, str] = ..., inputs: tuple[str, ...] | builtins.list[str] = ...) -> everloop.tracking.entities.Run:
        """Log metric points, parameters, tags and inputs (URNs of what was used) to a running run: all of it or nothing."""
    def log_artifact(self, id: str, path: str, digest: str) -> everloop.tracking.entities.Artifact:
        """Add a file, whose bytes are in the store already, to a running run."""
    def page(self, experiment: str = '', where: str = '', order: str = '', limit: int = 100, after: str = '') -> everloop.tracking.index.entities.RunPage:
        """The runs that `runs.search` finds, with the cursor of the next page and how many there are."""
    def points(self, id: str, key: str, limit: int = 0, after: str = '') -> everloop.tracking.series.entities.Series:
        """The points of a metric as columns: all of them, or at most `limit` from a cursor on; 0.1 µs a point."""
    def rename(self, id: str, name: str) -> everloop.tracking.entities.Run:
        """Give a running run another name."""
    def restore(self, id: str) -> everloop.tracking.entities.Run:
        """Bring a deleted run back."""
    def resume(self, id: str) -> everloop.tracking.entities.Run:
        """Let a run that has ended go on; one that is running does."""
    def search(self, experiment: str = '', where: str = '', order: str = '', limit: int = 100, after: str = '') -> builtins.list[everloop.tracking.entities.Run]:
        """The runs that meet a filter such as `metrics.auc > 0.7 and parameters.kind = 'gbm'`, newest first."""
    def set_tags(self, id: str, tags: dict[str, str]) -> everloop.tracking.entities.Run:
        """Set tags of a running run."""
    def start(self, experiment: str, name: str = '', parameters: dict[str, str] = ..., tags: dict[str, str] = ..., parent: str = '', group: str = '', id: str = '', started: datetime.datetime | None = None, code: everloop.tracking.entities.CodeRevision | None = None, environment: everloop.tracking.entities.Environment | None = None) -> everloop.tracking.entities.Run:
        """A run that has begun, in an experiment that is made when it is missing."""
    def table(self, columns: tuple[str, ...] | builtins.list[str] = ..., experiment: str = '', where: str = '', order: str = '', limit: int = 100, after: str = '') -> everloop.tracking.index.entities.RunsTable:
        """Columns such as `metrics.auc`, `parameters.depth` or `duration` of the runs that `runs.search` finds."""
    def writer(self, id: str, writer: str) -> int:
        """The number of the last write of a writer that a run has taken; 0 before the first."""

class StoreGroup:
    """The store of bytes: what it holds, if it is whole, what can be freed."""
    def fsck(self, rebuild: bool = False) -> everloop.governance.storekeeping.entities.StoreReport:
        """Whether the store hangs together: packs, index, folders and recipes, what the catalog and refs point to."""
    def gc(self, dry_run: bool = True, grace: str = '1d', thorough: bool = False) -> everloop.governance.storekeeping.entities.GcReport:
        """Put what nothing refers to into the trash, and free what has been there for the time of `grace`; or tell of it."""
    def repair(self, remote: str) -> everloop.governance.storekeeping.entities.Repair:
        """Read all of the store, and fetch what is damaged or missing from a remote that has it whole."""
    def trash(self) -> builtins.list[everloop.store.entities.TrashBin]:
        """What garbage collections condemned and have not freed yet, oldest first: a bin for each, by its stamp."""
    def undelete(self, stamp: str = 'all') -> everloop.store.entities.Undeleted:
        """Take a bin (or all) out of the trash. Its objects are safe for the time of grace: point to them within it."""
    def verify(self, reference: str = '') -> everloop.governance.storekeeping.entities.VerifyReport:
        """Read every byte of the store, or of one reference with all below it, and compare it with its address."""

class SweepsGroup:
    """Searches for the best parameters: trials, pruning, several workers."""
    def best(self, name: str) -> builtins.list[everloop.pipelines.sweeps.entities.Trial]:
        """The best trial; with several objectives the Pareto front: those that no other is better than in all of them."""
    def create(self, name: str, definition: everloop.pipelines.sweeps.entities.SweepDefinition, directions: tuple[typing.Literal['minimize', 'maximize'], ...] | builtins.list[typing.Literal['minimize', 'maximize']] = ..., experiment: str = '', enqueue: tuple[dict[str, everloop.kernel.usecase.Json], ...] | builtins.list[dict[str, everloop.kernel.usecase.Json]] = ..., warm_start: tuple[str, ...] | builtins.list[str] = ...) -> everloop.pipelines.sweeps.entities.Sweep:
        """Keep a new sweep, checked whole; `sweeps.resume` begins it. Known points come first; earlier sweeps teach."""
    def delete(self, name: str) -> None:
        """Delete a sweep with its trials; their runs stay."""
    def get(self, name: str) -> everloop.pipelines.sweeps.entities.Sweep:
        """One sweep: how far it is, and its best trials."""
    def importance(self, name: str, objective: int = 0) -> everloop.tracking.importance.Importances:
        """Which parameters explain an objective (the first is 0), the most important first."""
    def list(self) -> builtins.list[everloop.pipelines.sweeps.entities.Sweep]:
        """Every sweep, the newest first, with those studies of Optuna's that are kept here."""
    def pictures(self, name: str) -> everloop.pipelines.sweeps.entities.Pictures:
        """What is drawn of a sweep, as data: history, parallel coordinates, importance, Pareto front."""
    def resume(self, name: str, trials: int = 0, seconds: float = 0.0) -> everloop.pipelines.sweeps.entities.Sweep:
        """Drive a sweep until its budget is used: it begins, or goes on where it was. `trials` and `seconds` add to that."""
    def stop(self, name: str) -> everloop.pipelines.sweeps.entities.Sweep:
        """Have a sweep end as soon as the trials have that run now; it can be resumed."""
    def trials(self, name: str, status: typing.Literal['waiting', 'running', 'complete', 'pruned', 'failed', 'killed'] | None = None, limit: int = 1000) -> builtins.list[everloop.pipelines.sweeps.entities.Trial]:
        """The trials of a sweep by number, those of one status or all."""

class TokensGroup:
    """Tokens for people and machines."""
    def create(self, principal: str, expires_in: str = '90d') -> everloop.governance.entities.NewToken:
        """Make a token for a principal. Its secret is in the answer and nowhere else; `expires_in` "" means never."""
    def list(self, principal: str = '') -> builtins.list[everloop.governance.entities.Token]:
        """The tokens (of one principal, if named), oldest first."""
    def revoke(self, id: str) -> everloop.governance.entities.Token:
        """Let a token count no more: within a second everywhere. Doing it again changes nothing."""

class TracesGroup:
    """What requests to applications did, as trees of spans."""
    def delete(self, id: str) -> None:
        """Delete a trace for good: its spans, its files and all that was said of it are gone, and the space is free."""
    def delete_tag(self, id: str, key: str) -> everloop.tracking.traces.entities.Trace:
        """Take a tag of a trace away."""
    def get(self, id: str) -> everloop.tracking.traces.entities.Trace:
        """A trace with its spans, and with all that was said of it."""
    def log(self, id: str, experiment: str, spans: tuple[everloop.tracking.traces.entities.Span, ...] | builtins.list[everloop.tracking.traces.entities.Span], tags: dict[str, str] = ..., run: str = '') -> everloop.tracking.traces.entities.Trace:
        """Keep spans of a trace: it begins with the first and ends with its root. The same again changes nothing."""
    def search(self, experiment: str = '', where: str = '', order: str = '', limit: int = 100, after: str = '') -> everloop.tracking.traces.entities.TracePage:
        """A page of the traces that meet a filter such as `status = 'ERROR' AND tags.team LIKE 'a%'`, newest first."""
    def set_tags(self, id: str, tags: dict[str, str]) -> everloop.tracking.traces.entities.Trace:
        """Set tags of a trace, beside those that it has."""

class WebhooksGroup:
    """What happens to models, told to other programs."""
    def change(self, id: str, changes: everloop.registry.webhooks.entities.Changes) -> everloop.registry.webhooks.entities.Webhook:
        """Change a webhook. One that was switched off is told only what happens after it is switched on again."""
    def create(self, name: str, url: str, events: tuple[str, ...] | builtins.list[str], description: str = '', secret: str = '') -> everloop.registry.webhooks.entities.Webhook:
        """Have events told to a URL from now on, signed where there is a secret, which is kept and never shown."""
    def delete(self, id: str) -> everloop.registry.webhooks.entities.Webhook:
        """Delete a webhook with its log, and give what it was."""
    def deliver(self) -> int:
        """Deliver what is due now, as the server does by itself every second; how many messages arrived."""
    def deliveries(self, id: str, limit: int = 100) -> builtins.list[everloop.registry.webhooks.entities.Delivery]:
        """The latest attempts to deliver to a webhook, newest first."""
    def get(self, id: str) -> everloop.registry.webhooks.entities.Webhook:
        """A webhook by its id."""
    def list(self) -> builtins.list[everloop.registry.webhooks.entities.Webhook]:
        """The webhooks of the project, oldest first."""
    def test(self, id: str, event: str = '') -> everloop.registry.webhooks.entities.Tried:
        """Send an example of an event (of the webhook's first, unless one is named), and see what comes back."""

class Everloop:
    """A platform: its use cases in groups (`.models.set_alias(…)`), and bytes by content."""

    audit: AuditGroup
    datasets: DatasetsGroup
    endpoints: EndpointsGroup
    experiments: ExperimentsGroup
    features: FeaturesGroup
    governance: GovernanceGroup
    lineage: LineageGroup
    loops: LoopsGroup
    models: ModelsGroup
    monitors: MonitorsGroup
    packages: PackagesGroup
    pipelines: PipelinesGroup
    predictions: PredictionsGroup
    remotes: RemotesGroup
    retention: RetentionGroup
    rollouts: RolloutsGroup
    runs: RunsGroup
    store: StoreGroup
    sweeps: SweepsGroup
    tokens: TokensGroup
    traces: TracesGroup
    webhooks: WebhooksGroup
    def __init__(self, platform: Platform | RemotePlatform, project: str='') -> None:
        ...
    def in_project(self, project: str) -> Everloop:
        """The same platform, with every call made in another project."""
    @property
    def data(self) -> Data:
        """Folders of files under versions, on this machine's disk."""
    def put(self, content: bytes | Path) -> Digest:
        """Keep bytes, or a file's; their address."""
    def put_frame(self, frame: Frame) -> Digest:
        """Keep a frame of Arrow, pandas, Polars or DuckDB, or a list of dictionaries, as Parquet; its address."""
    def put_folder(self, folder: str | Path) -> Digest:
        """Keep every file below a folder; the address of the tree. To a server only what it lacks travels, in packs."""
    def checkout(self, digest: Digest, folder: str | Path) -> None:
        """Write the files of a tree below a folder, each verified."""
    def get_object(self, digest: Digest) -> bytes:
        """The bytes at an address, verified."""
    @property
    def _store(self) -> Store:
        ...
    def place(self) -> Place:
        """Where `everloop.run(platform=…)` records to: this platform, in this project."""
    def session(self) -> Session:
        """A session of the platform in this process, for what works on tables and models themselves."""
    def close(self) -> None:
        """Give back connections and backends."""
    def __enter__(self) -> Self:
        """Make this the platform that code outside of a step works with; it is closed at the end of the block."""
    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        ...

def open(home: str | Path | None=None, *, project: str='') -> Everloop:
    """The platform in a home folder, in this process; without a folder, the one that the settings name."""

def connect(url: str, token: str='', *, project: str='') -> Everloop:
    """The platform behind a server's URL. Nothing is sent before the first call."""
