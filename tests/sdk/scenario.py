"""Example calls, at least one for every use case: a day's work in order, made alike through each door."""

from __future__ import annotations

import functools
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from everloop.app import backends
from everloop.registry.columns import InputMatrix, signature_of
from everloop.store import trees
from everloop.store.entities import Digest, TreeEntry
from everloop.store.service import digest_of

Seen = Mapping[str, Any]
"""The answers so far, as JSON, by the example's label."""
Arguments = Mapping[str, Any] | Callable[[Seen], Mapping[str, Any]]

FLIGHTS = b"id,at,origin,delay\n" + b"".join(
    b"f%d,2025-12-%02dT12:00:00Z,%s,%s\n"
    % (n, 1 + n % 28, (b"EWR", b"JFK", b"LGA")[n % 3], b"" if n % 10 == 0 else b"%d" % n)
    for n in range(60)
)
WEATHER = b"origin,time_hour,wind\n" + b"".join(
    b"%s,2025-12-%02dT11:00:00Z,%d\n" % (origin, day, day)
    for origin in (b"EWR", b"JFK", b"LGA")
    for day in range(1, 29)
)
OWNERS = b"owner,at,paid\n" + b"".join(b"o%d,2025-12-%02dT12:00:00Z,%d\n" % (n % 7, 1 + n, n) for n in range(28))
NOTES = b"what was tried"
LANDINGS = b"id,at\n1,9\n1,10\n2,11\n"
UNIQUE_ID = {"type": "unique", "columns": ["id"]}
SUITE = "dataset: flights\ngates: [merge]\nexpectations:\n  # One flight a row.\n  - {kind: not_null, column: id}\n"
GREAT_SUITE = (
    '{"expectations": [{"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "id"}},'
    ' {"type": "expect_column_values_to_be_json_parseable", "kwargs": {"column": "id"}}]}'
)
_outside = tempfile.TemporaryDirectory(prefix="everloop-words-")
PROJECT = shutil.copytree(Path(__file__).with_name("words"), Path(_outside.name) / "words").as_posix()
"""A project of pipelines; outside of our own repository, whose state runs would record."""

ELSEWHERE = Path(_outside.name) / "elsewhere"
"""A folder with data that is imported without being copied."""
ELSEWHERE.mkdir()
(ELSEWHERE / "notes.txt").write_bytes(NOTES)
PLACES = Path(_outside.name) / "places.parquet"
"""A table that stays where it is."""
pq.write_table(pa.table({"origin": ["EWR", "JFK", "LGA"], "state": ["NJ", "NY", "NY"]}), PLACES)
VISITS = b"id,at\n1,2026-01-01\n2,2026-01-02\n3,2026-01-02\n"
LATER = b'{"id": 3, "at": "2026-01-03"}\n{"id": 4, "at": "2026-01-04"}\n'
CANCELLED = b"id\n1\n"

BESIDE = "file:///proc/beside"
"""A place that each platform has for itself (`doors.Beside`); unless it is told so, there is none and can be none."""


SEARCH = {
    "target": "searching:distance",
    "folder": PROJECT,
    "space": {"words": {"type": "float", "low": 0, "high": 9}, "dots": {"type": "int", "low": 0, "high": 3}},
    "budget": {"trials": 8},
}
"""A sweep of an objective in that project."""


class Example(msgspec.Struct, frozen=True):
    """A call of a use case, and the code of the error that it must end with, if any."""

    usecase: str
    arguments: Arguments = {}
    label: str = ""
    fails: str = ""

    def given(self, seen: Seen) -> Mapping[str, Any]:
        """The arguments, made of the answers so far where they depend on them."""
        return self.arguments(seen) if callable(self.arguments) else self.arguments


@functools.cache
def model() -> tuple[dict[str, Any], tuple[bytes, ...]]:
    """A trained LightGBM model as JSON, and the objects that make it up."""
    import lightgbm

    generator = np.random.default_rng(5)
    columns = {"wind": generator.random(200), "hour": generator.random(200)}
    signature = signature_of(columns)
    data = lightgbm.Dataset(InputMatrix(signature.inputs)(columns), (columns["wind"] > 0.5).astype(float))
    booster = lightgbm.train({"objective": "binary", "verbose": -1, "num_threads": 1}, data, num_boost_round=3)
    with tempfile.TemporaryDirectory() as name:
        backends.load("flavors", "lightgbm")().save(booster, Path(name), signature)
        files = {path.name: path.read_bytes() for path in sorted(Path(name).iterdir())}
    tree = msgspec.json.encode([TreeEntry(path, digest_of(data), len(data)) for path, data in files.items()])
    trained = {"flavor": "lightgbm", "digest": digest_of(tree), "signature": msgspec.to_builtins(signature)}
    return trained | {"metrics": {"roc_auc": 0.75}}, (*files.values(), tree)


ORDERS, EDITED, CORRECTED = (
    b"id,amount\n" + b"".join(b"%d,%d\n" % row for row in enumerate(amounts, 1))
    for amounts in ((10, 20, 30), (11, 20, 30), (10, 20, 33))
)


@functools.cache
def folder(*texts: bytes) -> tuple[str, tuple[bytes, ...]]:
    """The address of a tree of texts, and the objects that make it up."""
    kept: list[bytes] = list(texts)

    def keep(data: bytes) -> Digest:
        kept.append(data)
        return digest_of(data)

    root = trees.build((TreeEntry(f"d/{n}", digest_of(text), len(text)) for n, text in enumerate(texts)), keep)
    return root, tuple(kept)


def objects() -> tuple[bytes, ...]:
    """The bytes that the scenario needs in the store."""
    histories = (ORDERS, EDITED, CORRECTED, *folder(b"one")[1], *folder(b"one", b"two")[1])
    return (FLIGHTS, WEATHER, OWNERS, NOTES, LANDINGS, VISITS, LATER, CANCELLED, *histories, *model()[1])


AIRPORT = {"name": "airport", "keys": ["origin"]}
WIND = {
    "name": "airport_weather",
    "entity": AIRPORT,
    "source": "weather",
    "timestamp": "time_hour",
    "features": [
        {"name": "wind", "column": "wind"},
        {"name": "wind_2d", "column": "wind", "aggregation": "mean", "over": "P2D"},
    ],
    "ttl": "P1D",
    "available_after": "PT1H",
}
SERVICE = {"name": "delay", "views": [WIND], "request": [{"name": "hour", "type": "float64"}]}
LOOP = {
    "name": "late",
    "model": "late",
    "endpoint": "late",
    "pipeline": "fit",
    "label": {"expression": "delay > 15", "key": "id"},
    "triggers": [{"type": "every", "period": "P30D"}],
    "gates": [{"type": "package_scan"}, {"type": "better_than"}],
}
CANARY = {"type": "canary", "steps": [10, 50], "hold": "PT1H", "guards": [{"type": "error_rate", "limit": 0.02}]}

BINS = {"kind": "number", "edges": [0.5], "categories": []}
DEVIATION = {"base": 1.0, "excess": 0.1, "freedom": 5.0, "chunks": 9}
PROFILE = {"name": "wind", "bins": BINS, "counts": [50, 50, 0], "mean": 0.5, "deviation": 0.3, "low": 0.0, "high": 1.0}
PROFILE |= {"nulls": {"mean": DEVIATION}}
REFERENCE = {
    "rows": 100,
    "start": "2025-12-01T00:00:00Z",
    "end": "2025-12-10T00:00:00Z",
    "chunk": "P1D",
    "features": [PROFILE],
    "output": PROFILE | {"name": "late"},
    "model_version": 1,
}
DRIFT = {"statistic": "mean", "effect": 0.4, "p_value": 1e-9, "evidence": 30.5, "drifted": True, "impact": 0.08}
REPORT = {
    "endpoint": "late",
    "start": "2025-12-30T00:00:00Z",
    "end": "2025-12-30T12:00:00Z",
    "rows": 500,
    "model_version": 1,
    "drift": [DRIFT | {"feature": "wind"}],
    "impact": 0.08,
}


def run_of(seen: Seen) -> str:
    """The id of the scenario's run."""
    return str(seen["run"]["id"])


DATASETS = [
    Example(
        "datasets.commit", {"name": "flights", "digest": digest_of(FLIGHTS), "format": "csv", "note": "a first look"}
    ),
    Example("datasets.commit", {"name": "flights", "digest": digest_of(FLIGHTS), "format": "csv"}),
    Example("datasets.commit", {"name": "weather", "digest": digest_of(WEATHER), "format": "csv"}),
    Example(
        "datasets.commit", {"name": "no name", "digest": digest_of(WEATHER), "format": "csv"}, fails="invalid_input"
    ),
    Example("datasets.commit", {"name": "x", "digest": "0" * 64, "format": "csv"}, fails="not_found"),
    Example(
        "datasets.derive",
        {"name": "late", "sql": "SELECT id, delay FROM flights WHERE delay > 15 ORDER BY id", "inputs": ["flights@1"]},
    ),
    Example("datasets.derive", {"name": "late", "sql": "SELECT", "inputs": ["flights"]}, fails="invalid_input"),
    Example("datasets.list"),
    Example("datasets.get", {"name": "flights"}),
    Example("datasets.get", {"name": "flights", "version": 9}, fails="not_found"),
    Example("datasets.log", {"name": "flights"}),
    Example("datasets.profile", {"name": "flights", "version": 1}),
    Example("datasets.preview", {"name": "flights", "limit": 2}),
    Example(
        "datasets.expect",
        {
            "name": "flights",
            "expectations": [
                {"type": "not_null", "column": "delay", "mostly": 0.95},
                {"type": "in_range", "column": "delay", "minimum": 0, "maximum": 100, "severity": "warning"},
                {"type": "unique", "columns": ["id"]},
            ],
        },
    ),
    Example("datasets.expectations", {"name": "flights"}),
    Example("datasets.check", {"name": "flights"}),
    Example(
        "datasets.check",
        {
            "name": "flights",
            "version": 1,
            "suite": [
                {"type": "mean_in_range", "column": "delay", "maximum": 60},
                {"type": "no_rows", "sql": "SELECT * FROM flights WHERE delay > 1000"},
                {"type": "like_history", "metric": "rows"},
            ],
        },
    ),
    Example("datasets.checks", {"name": "flights"}),
    Example("datasets.check_report", {"name": "flights"}),
    Example("datasets.check_report", {"name": "flights", "format": "html", "number": 1}),
    Example("datasets.check_report", {"name": "flights", "number": 99}, fails="not_found"),
    Example("datasets.suggest", {"name": "flights"}),
    Example("datasets.import_suite", {"name": "flights", "text": "expectations: 5"}, fails="invalid_input"),
    Example("datasets.import_suite", {"name": "flights", "text": GREAT_SUITE, "format": "great_expectations"}),
    Example("datasets.import_suite", {"name": "flights", "text": SUITE, "dry_run": True}),
    Example("datasets.export_suite", {"name": "flights"}),
    Example("datasets.export_suite", {"name": "flights", "format": "great_expectations"}),
    Example("datasets.apply_suites", {"declared": [{"dataset": "landings", "expectations": [UNIQUE_ID]}]}),
    Example("datasets.gate", {"name": "landings", "at": ["training"], "on_failure": "quarantine"}),
    Example("datasets.gates", {"name": "landings"}),
    Example("datasets.commit", {"name": "landings", "digest": digest_of(LANDINGS), "format": "csv"}),
    Example("datasets.quarantine", {"name": "landings"}),
    Example("datasets.quarantine", {"name": "weather"}, fails="not_found"),
    Example("datasets.diff", {"name": "flights", "before": 1, "after": 1}),
]
_LATER = {"name": "visits", "digest": digest_of(LATER), "format": "jsonl"}
CHANGES = [
    Example("datasets.commit", {"name": "visits", "digest": digest_of(VISITS), "format": "csv"}),
    Example("datasets.append", {"name": "visits", "digest": digest_of(VISITS), "format": "csv", "source": "visits@1"}),
    Example(
        "datasets.append", {"name": "visits", "digest": digest_of(CANCELLED), "format": "csv"}, fails="invalid_input"
    ),
    Example("datasets.upsert", _LATER | {"keys": ["id"]}),
    Example("datasets.upsert", _LATER | {"keys": ["nr"]}, fails="invalid_input"),
    Example(
        "datasets.delete_rows", {"name": "visits", "digest": digest_of(CANCELLED), "format": "csv", "keys": ["id"]}
    ),
    Example("datasets.compact", {"name": "visits"}),
    Example("datasets.schema", {"name": "visits"}),
    Example("datasets.query", {"sql": "SELECT count(*) AS n FROM visits", "inputs": ["visits@2"]}),
    Example("datasets.query", {"sql": "DROP TABLE visits", "inputs": ["visits"]}, fails="invalid_input"),
    Example("datasets.register", {"name": "places", "url": PLACES.as_posix(), "format": "parquet"}),
    Example("datasets.preview", {"name": "places"}),
    Example("datasets.export", {"name": "visits", "folder": ELSEWHERE.parent.as_posix(), "format": "csv", "at": 2}),
]
HISTORY = [
    Example("datasets.commit", {"name": "orders", "digest": digest_of(ORDERS), "format": "csv"}),
    Example("datasets.branch", {"name": "orders", "branch": "edit"}),
    Example("datasets.commit", {"name": "orders", "digest": digest_of(EDITED), "format": "csv", "base": 1}),
    Example(
        "datasets.commit",
        {"name": "orders", "digest": digest_of(CORRECTED), "format": "csv", "base": 1},
        fails="conflict",
    ),
    Example("datasets.commit", {"name": "orders", "digest": digest_of(CORRECTED), "format": "csv", "branch": "edit"}),
    Example("datasets.diff_rows", {"name": "orders", "before": "edit", "after": "main", "keys": ["id"]}),
    Example("datasets.merge", {"name": "orders", "branch": "edit", "keys": ["id"], "dry_run": True}),
    Example("datasets.merge", {"name": "orders", "branch": "edit", "keys": ["id"]}),
    Example("datasets.merge", {"name": "orders", "branch": "nothing"}, fails="not_found"),
    Example("datasets.branches", {"name": "orders"}),
    Example("datasets.log", {"name": "orders", "at": "main"}),
    Example("datasets.tag", {"name": "orders", "tag": "published", "at": 1, "note": "as sent"}),
    Example("datasets.tag", {"name": "orders", "tag": "published"}, fails="conflict"),
    Example("datasets.tags", {"name": "orders"}),
    Example("datasets.get", {"name": "orders", "at": "published"}),
    Example("datasets.revert", {"name": "orders", "version": "published"}),
    Example("datasets.untag", {"name": "orders", "tag": "published"}),
    Example("datasets.delete_branch", {"name": "orders", "branch": "edit"}),
    Example("datasets.commit_files", {"name": "texts", "digest": folder(b"one")[0]}),
    Example("datasets.commit_files", {"name": "texts", "digest": folder(b"one", b"two")[0], "note": "one more"}),
    Example("datasets.files", {"name": "texts", "below": "d"}),
    Example("datasets.diff_files", {"name": "texts", "before": 1}),
]
FEATURES = [
    Example("features.apply", {"services": [SERVICE]}),
    Example("features.services"),
    Example("features.views"),
    Example("features.service", {"name": "delay"}),
    Example("features.pin", {"service": "delay", "version": 1}),
    Example("features.materialize", {"service": "delay", "until": "2025-12-20T00:00:00Z"}),
    Example("features.materializations", {"service": "delay"}),
    Example("features.lookup", {"service": "delay", "keys": {"origin": ["EWR", "QQQ"]}, "at": "2025-12-20T00:00:00Z"}),
    Example("features.lookup", {"service": "none", "keys": {}}, fails="not_found"),
    Example("features.training_set", {"service": "delay", "dataset": "flights", "at": "at", "name": "examples"}),
]
TRACKING = [
    Example("experiments.create", {"name": "delay", "description": "Is it late?"}),
    Example("experiments.create", {"name": "delay"}, fails="conflict"),
    Example("experiments.list"),
    Example("experiments.get", {"name": "delay"}),
    Example("experiments.rename", {"name": "delay", "title": "Departure delays"}),
    Example("experiments.describe", {"name": "delay", "description": "Is it *late*?"}),
    Example("experiments.set_tags", {"name": "delay", "tags": {"team": "core", "old": "yes"}}),
    Example("experiments.delete_tag", {"name": "delay", "key": "old"}),
    Example("experiments.delete_tag", {"name": "delay", "key": "old"}, fails="not_found"),
    Example("experiments.delete", {"name": "delay"}),
    Example("experiments.list", {"deleted": True}),
    Example("experiments.restore", {"name": "delay"}),
    Example("runs.start", {"experiment": "delay", "parameters": {"leaves": "31"}, "tags": {"by": "hand"}}, label="run"),
    Example(
        "runs.log",
        lambda seen: {
            "id": run_of(seen),
            "metrics": [{"key": "auc", "value": 0.7}, {"key": "auc", "value": 0.8, "step": 1}],
            "parameters": {"rate": "0.1"},
            "inputs": ["dataset:default/flights@1"],
        },
    ),
    Example("runs.log", lambda seen: {"id": run_of(seen), "parameters": {"rate": "0.2"}}, fails="conflict"),
    Example("runs.log_artifact", lambda seen: {"id": run_of(seen), "path": "notes.txt", "digest": digest_of(NOTES)}),
    Example("runs.artifacts", lambda seen: {"id": run_of(seen)}),
    Example("runs.history", lambda seen: {"id": run_of(seen), "key": "auc"}),
    Example("runs.points", lambda seen: {"id": run_of(seen), "key": "auc", "limit": 1}),
    Example("runs.points", lambda seen: {"id": run_of(seen), "key": "auc", "after": "x"}, fails="invalid_input"),
    Example("runs.chart", lambda seen: {"id": run_of(seen), "key": "auc", "axis": "relative", "low": -1.0}),
    Example("runs.charts", lambda seen: {"ids": [run_of(seen)], "keys": ["auc", "none"], "points": 10}),
    Example("runs.get", lambda seen: {"id": run_of(seen)}),
    Example("runs.search", {"where": "metrics.auc > 0.7 and parameters.rate = '0.1'", "limit": 5}),
    Example("runs.search", {"where": "metrics.auc >"}, fails="invalid_input"),
    Example("runs.page", {"where": "tags.by is not null or metrics.auc in (0.7, 0.8)", "order": "duration, name"}),
    Example("runs.page", {"after": "elsewhere"}, fails="invalid_input"),
    Example("runs.table", {"columns": ["name", "metrics.*", "parameters.rate"], "order": "metrics.auc desc"}),
    Example("runs.start", {"experiment": "delay", "parameters": {"leaves": "63"}}, label="beside"),
    Example("runs.compare", lambda seen: {"ids": [run_of(seen), seen["beside"]["id"]]}),
    Example("runs.compare", lambda seen: {"ids": [run_of(seen)]}, fails="invalid_input"),
    Example("runs.importance", {"metric": "auc", "experiment": "delay"}, fails="refused"),
    Example("runs.export", {"format": "json", "columns": ["name", "metrics.*"], "experiment": "delay"}),
    Example("runs.writer", lambda seen: {"id": run_of(seen), "writer": "laptop"}),
    Example("runs.rename", lambda seen: {"id": run_of(seen), "name": "first"}),
    Example("runs.set_tags", lambda seen: {"id": run_of(seen), "tags": {"state": "new", "old": "yes"}}),
    Example("runs.delete_tag", lambda seen: {"id": run_of(seen), "key": "old"}),
    Example("runs.delete", lambda seen: {"id": run_of(seen)}),
    Example("runs.restore", lambda seen: {"id": run_of(seen)}),
    Example("runs.finish", lambda seen: {"id": run_of(seen)}),
    Example("runs.finish", lambda seen: {"id": run_of(seen), "status": "failed"}, fails="conflict"),
    Example("runs.describe", lambda seen: {"id": run_of(seen), "note": "The *first* one."}),
    Example("runs.resume", lambda seen: {"id": run_of(seen)}),
    Example("runs.finish", lambda seen: {"id": run_of(seen), "status": "finished"}),
]
SPANS = [
    {"id": "00000000000000a1", "name": "answer", "started": 1767225600000000000, "ended": 1767225600250000000},
    {"id": "00000000000000a2", "name": "look up", "parent": "00000000000000a1", "started": 1767225600100000000},
]
TRACES = [
    Example("traces.log", {"id": "t-1", "experiment": "chat", "spans": SPANS, "tags": {"team": "core"}}),
    Example("traces.log", {"id": "t-1", "experiment": "chat", "spans": SPANS}),
    Example("traces.log", {"id": "t/1", "experiment": "chat", "spans": SPANS}, fails="invalid_input"),
    Example("traces.log", {"id": "t-2", "experiment": "chat", "spans": []}, fails="invalid_input"),
    Example("traces.get", {"id": "t-1"}),
    Example("traces.get", {"id": "t-9"}, fails="not_found"),
    Example("traces.search", {"where": "tags.team = 'core' AND span.name = 'look up'", "order": "timestamp DESC"}),
    Example("traces.search", {"where": "nothing = 1"}, fails="invalid_input"),
    Example("traces.set_tags", {"id": "t-1", "tags": {"note": "slow"}}),
    Example("traces.delete_tag", {"id": "t-1", "key": "note"}),
    Example("traces.delete_tag", {"id": "t-1", "key": "note"}, fails="not_found"),
    Example("traces.delete", {"id": "t-1"}),
    Example("traces.delete", {"id": "t-1"}, fails="not_found"),
]
PIPELINES = [
    Example(
        "pipelines.apply",
        {
            "definitions": [
                {"name": name, "target": f"counting:{name}", "folder": PROJECT, "parameters": {"text": "str"}}
                for name in ("counted", "broken", "fit")
            ]
        },
    ),
    Example("pipelines.list"),
    Example("pipelines.get", {"name": "counted"}),
    Example("pipelines.run", {"name": "counted", "arguments": {"text": "the loop is closed"}}, label="execution"),
    Example("pipelines.run", {"name": "counted", "arguments": {"text": "the loop is closed"}}),
    Example("pipelines.run", {"name": "broken", "arguments": {"text": "it"}}, fails="step_failed"),
    Example("pipelines.run", {"name": "nothing"}, fails="not_found"),
    Example("pipelines.executions", {"pipeline": "counted"}),
    Example("pipelines.execution", lambda seen: {"id": seen["execution"]["id"]}),
    Example("pipelines.replay", lambda seen: {"id": seen["execution"]["id"]}),
    Example("sweeps.create", {"name": "words", "definition": SEARCH, "enqueue": [{"words": 3.5, "dots": 0}]}),
    Example("sweeps.create", {"name": "words", "definition": SEARCH}, fails="conflict"),
    Example(
        "sweeps.create",
        {"name": "none", "definition": SEARCH, "directions": ["minimize", "maximize"]},
        fails="invalid_input",
    ),
    Example("sweeps.resume", {"name": "words"}),
    Example("sweeps.resume", {"name": "words", "trials": 2}),
    Example("sweeps.resume", {"name": "nothing"}, fails="not_found"),
    Example("sweeps.list"),
    Example("sweeps.get", {"name": "words"}),
    Example("sweeps.trials", {"name": "words", "status": "complete"}),
    Example("sweeps.best", {"name": "words"}),
    Example("sweeps.importance", {"name": "words"}),
    Example("sweeps.pictures", {"name": "words"}),
    Example("sweeps.stop", {"name": "words"}),
    Example("sweeps.delete", {"name": "words"}),
    Example("sweeps.get", {"name": "words"}, fails="not_found"),
]
MODELS = [
    Example("models.create", {"name": "late", "description": "Is a flight late?"}),
    Example("models.register", {"name": "late", "trained": model()[0], "note": "a first one"}),
    Example("models.register", {"name": "late", "trained": model()[0], "card": "# Late\n\nIt is simple."}),
    Example("models.register", {"name": "late", "trained": {"flavor": "none"}}, fails="invalid_input"),
    Example("models.list"),
    Example("models.get", {"name": "late"}),
    Example("models.versions", {"name": "late"}),
    Example("models.version", {"name": "late", "version": 1}),
    Example("models.card", {"name": "late", "version": 2}),
    Example("models.compilation", {"name": "late", "version": 1}),
    Example("models.compile", {"name": "late", "version": 2}),
    Example("models.calibrate", {"name": "late", "version": 1, "alpha": 0.2}, fails="invalid_input"),
    Example("models.calibrations", {"name": "late", "version": 1}),
    Example("models.set_alias", {"name": "late", "alias": "candidate", "version": 2}),
    Example("models.set_alias", {"name": "late", "alias": "candidate", "version": 7}, fails="not_found"),
    Example("models.aliases", {"name": "late"}),
    Example(
        "models.approve",
        {
            "name": "late",
            "version": 1,
            "decision": "approved",
            "reason": "It is good.",
            "evidence": {"auc": [0.7, None]},
        },
    ),
    Example("models.approvals", {"name": "late", "version": 1}),
    Example("models.trust", {"name": "late", "version": 1, "reason": "I read it."}),
    Example("models.trust", {"name": "late", "version": 9, "reason": "I read it."}, fails="not_found"),
    Example("models.trusted", {"name": "late"}),
    Example("models.distrust", {"name": "late", "version": 1, "reason": "It is not needed."}),
    Example("models.promote", {"name": "late", "version": 1, "reason": "It is the best."}),
    Example("models.delete_alias", {"name": "late", "alias": "candidate"}),
    Example("models.set_tags", {"name": "late", "tags": {"team": "core"}, "version": 2}),
    Example("models.set_tags", {"name": "late", "tags": {"": "core"}}, fails="invalid_input"),
    Example("models.tags", {"name": "late", "version": 2}),
    Example("models.delete_tag", {"name": "late", "key": "team", "version": 2}),
    Example("models.describe", {"name": "late", "description": "Is a *flight* late?"}),
    Example("models.rename", {"name": "late", "title": "Late flights"}),
    Example("models.rename", {"name": "late", "title": "a/b"}, fails="invalid_input"),
    Example("models.revise_card", {"name": "late", "version": 2, "text": "# Late", "reason": "It was too long."}),
    Example("models.card_revisions", {"name": "late", "version": 2}),
    Example("models.search", {"filter": "name ILIKE 'late%'", "order_by": ["name DESC"], "limit": 1}),
    Example("models.search", {"filter": "name LIKE"}, fails="invalid_input"),
    Example("models.search_versions", {"filter": "version_number > 1"}),
    Example("models.example", {"name": "late", "version": 1}, fails="not_found"),
    Example("models.compare", {"name": "late", "challenger": 2}),
    Example("models.transition", {"name": "late", "version": 2, "stage": "Staging"}),
    Example("models.transition", {"name": "late", "version": 2, "stage": "Up"}, fails="invalid_input"),
    Example("models.transition", {"name": "late", "version": 2, "stage": "None"}),
    Example("models.set_policy", {"policy": {"aliases": ["blessed"], "model": "late"}}),
    Example("models.policies"),
    Example("models.lacks", {"name": "late", "version": 2, "alias": "blessed"}),
    Example("models.gates", {"name": "late", "version": 2}),
    Example("models.set_alias", {"name": "late", "alias": "blessed", "version": 2}, fails="refused"),
    Example("models.delete_policy", {"model": "late"}),
    Example(
        "webhooks.create",
        {"name": "chat", "url": "https://hooks.invalid/late", "events": ["model_version.created"], "secret": "s3cret"},
        label="webhook",
    ),
    Example("webhooks.list"),
    Example("webhooks.get", lambda seen: {"id": seen["webhook"]["id"]}),
    Example("webhooks.change", lambda seen: {"id": seen["webhook"]["id"], "changes": {"description": "To us."}}),
    Example("webhooks.test", {"id": "none"}, fails="not_found"),
    Example("webhooks.deliver"),
    Example("webhooks.deliveries", lambda seen: {"id": seen["webhook"]["id"]}),
    Example("webhooks.delete", lambda seen: {"id": seen["webhook"]["id"]}),
]
SERVING = [
    Example("endpoints.create", {"name": "late", "model": "late", "label_key": "id", "version": 1}),
    Example("endpoints.apply", {"endpoint": {"name": "late", "model": "late", "label_key": "id"}}),
    Example("endpoints.apply", {"endpoint": {"name": "late", "model": "other"}}, fails="conflict"),
    Example("endpoints.list"),
    Example("endpoints.get", {"name": "late"}),
    Example("endpoints.deploy", {"name": "late", "version": 2}),
    Example(
        "endpoints.deploy",
        {
            "name": "late",
            "version": 2,
            "configuration": {"fallback": {"kind": "constant", "value": 0.2}, "circuit": {"rate": 0.5}},
            "resources": {"cpu": 1, "memory_mb": 256},
        },
    ),
    Example("endpoints.deploy", {"name": "late", "configuration": {"interval": 2}}, fails="invalid_input"),
    Example("endpoints.deployments", {"name": "late"}),
    Example(
        "endpoints.set_traffic",
        {
            "name": "late",
            "shares": [{"deployment": 1, "percent": 90}, {"deployment": 2, "percent": 10, "role": "canary"}],
        },
    ),
    Example(
        "endpoints.set_traffic",
        {"name": "late", "shares": [{"deployment": 1, "percent": 100}], "expected_revision": 1},
        fails="conflict",
    ),
    Example("endpoints.rollback", {"name": "late"}),
    Example("endpoints.traffic_history", {"name": "late"}),
    Example("endpoints.manifest", {"name": "late", "kind": "kubernetes", "image": "registry.test/late"}),
    Example("endpoints.manifest", {"name": "late", "kind": "systemd", "placement": {"runtime": "platform"}}),
    Example(
        "endpoints.feedback",
        {
            "name": "late",
            "labels": [{"key": "f1", "value": 1.0}, {"key": "f2", "value": 0, "at": "2025-12-31T00:00:00Z"}],
        },
    ),
    Example("endpoints.predictions", {"name": "late", "limit": 3}),
    Example("endpoints.prediction", {"name": "late", "id": "none"}, fails="not_found"),
    Example("endpoints.reveal", {"name": "late", "id": "none"}, fails="not_found"),
    Example("endpoints.set_log_policy", {"name": "late", "policy": {"sample": 0.5, "retention_days": 30}}),
    Example("endpoints.set_log_policy", {"name": "late", "policy": {"without": ["id"]}}, fails="invalid_input"),
    Example("endpoints.compact_log", {"name": "late"}),
    Example(
        "predictions.batch",
        {"model": "late", "dataset": "flights", "into": "guesses", "version": 99},
        fails="not_found",
    ),
    Example("predictions.batch", {"model": "late", "dataset": "flights", "into": "guesses"}, fails="invalid_input"),
]
ROLLOUTS = [
    Example("rollouts.start", {"endpoint": "late", "version": 2, "strategy": CANARY}, label="rollout"),
    Example("rollouts.start", {"endpoint": "late", "version": 2, "strategy": CANARY}, fails="conflict"),
    Example("rollouts.list", {"endpoint": "late"}),
    Example("rollouts.active", {"endpoint": "late"}),
    Example("rollouts.get", lambda seen: {"id": seen["rollout"]["id"]}),
    Example(
        "rollouts.advance",
        lambda seen: {
            "id": seen["rollout"]["id"],
            "evidence": {"challenger": {"units": 10, "losses": {"log_loss": 0.5}}},
        },
    ),
    Example("rollouts.history", lambda seen: {"id": seen["rollout"]["id"]}),
    Example("rollouts.abort", lambda seen: {"id": seen["rollout"]["id"], "reason": "It was only tried."}),
    Example("rollouts.active", {"endpoint": "late"}),
]
MONITORS = [
    Example("monitors.define", {"endpoint": "late", "definition": {"window": "PT12H", "budget": {"alpha": 0.01}}}),
    Example("monitors.define", {"endpoint": "late", "definition": {"quiet": 0}}, fails="invalid_input"),
    Example("monitors.definition", {"endpoint": "late"}),
    Example("monitors.set_reference", {"endpoint": "late", "reference": REFERENCE}),
    Example("monitors.references", {"endpoint": "late"}),
    Example("monitors.observe", {"endpoint": "late", "report": REPORT}, label="alerts"),
    Example("monitors.reports", {"endpoint": "late", "limit": 1}),
    Example("monitors.reports", {"endpoint": "late", "final": True}),
    Example("monitors.alerts", {"endpoint": "late", "open_only": True}),
    Example("monitors.incidents", {"endpoint": "late"}),
    Example("monitors.alert", lambda seen: {"id": seen["alerts"][0]["id"]}),
    Example("monitors.resolve", lambda seen: {"id": seen["alerts"][0]["id"], "resolution": "The sensor was mended."}),
    Example("monitors.resolve", lambda seen: {"id": seen["alerts"][0]["id"]}, fails="conflict"),
    Example("monitors.status", {"endpoint": "late"}),
    Example("monitors.deliver"),
]
PACKAGES = [
    Example("packages.get", {"model": "late"}, fails="not_found"),
    Example("packages.build", {"model": "late", "version": 1}),
    Example("packages.build", {"model": "late", "alias": "none"}, fails="not_found"),
    Example("packages.list", {"model": "late"}),
    Example("packages.get", {"model": "late", "version": 1}),
    Example("packages.scan", {"model": "late", "version": 1}),
    Example("packages.verify", {"model": "late", "version": 1}),
    Example("packages.files", {"model": "late", "version": 1, "form": "archive"}),
    Example("packages.key", {}, fails="not_found"),
    Example("packages.sign", {"model": "late", "version": 1}, fails="not_found"),
    Example("packages.create_key", {}),
    Example("packages.create_key", {}, fails="conflict"),
    Example("packages.key", {}),
    Example("packages.sign", {"model": "late", "version": 1}),
    Example("packages.check_signature", {"model": "late", "version": 1}),
    Example("packages.push", {"model": "late", "reference": "not a place"}, fails="invalid_input"),
    Example("packages.manifest", {"model": "late", "version": 1}),
    Example("packages.manifest", {"model": "late", "image": "not an image"}, fails="invalid_input"),
    Example("packages.manifest", {"model": "late", "kind": "helm", "placement": {"cpu": "2", "gateway": "front"}}),
    Example("packages.measure", {"model": "late", "latency_ms": 0.0}, fails="invalid_input"),
    Example("packages.profile", {"model": "late"}, fails="not_found"),
    Example("packages.size", {"model": "late", "rate": 100.0}, fails="not_found"),
]
LOOPS = [
    Example("loops.apply", {"loop": LOOP}),
    Example("loops.apply", {"loop": LOOP | {"triggers": [{"type": "every", "period": "PT0S"}]}}, fails="invalid_input"),
    Example("loops.list"),
    Example("loops.get", {"name": "late"}),
    Example("loops.status", {"name": "late"}),
    Example("loops.propose", {"name": "late", "skip_gates": True, "reason": "To see."}),
    Example("loops.candidates", {"name": "late", "limit": 5}),
    Example("loops.rollback", {"name": "late", "reason": "To see."}),
    Example("loops.trace", {"what": "model:default/late@1"}),
    Example("loops.replay", {"execution": "none"}, fails="not_found"),
    Example("loops.reproduce", {"model": "none"}, fails="not_found"),
    Example(
        "loops.simulate",
        {"name": "none", "start": "2025-12-01T00:00:00Z", "end": "2025-12-20T00:00:00Z"},
        fails="not_found",
    ),
    Example("loops.tick", {"name": "none"}, fails="not_found"),
]
SPLITS = [
    Example("datasets.commit", {"name": "owners", "digest": digest_of(OWNERS), "format": "csv"}),
    Example(
        "datasets.split",
        {"name": "owners", "strategy": {"type": "grouped", "by": ["owner"]}, "seed": 7},
        label="split",
    ),
    Example(
        "datasets.split",
        {
            "name": "owners",
            "strategy": {"type": "time", "column": "at", "at": ["2025-12-20T00:00:00Z"], "gap": "P1D"},
            "at": "main",
        },
    ),
    Example("datasets.split", {"name": "owners", "strategy": {"type": "k_fold", "folds": 1}}, fails="invalid_input"),
    Example("datasets.splits", {"name": "owners"}),
    Example("datasets.prove", lambda seen: {"id": seen["split"]["id"], "duplicates": True}),
    Example("datasets.prove", {"id": "none"}, fails="not_found"),
    Example("datasets.subject", {"name": "owners", "column": "owner", "value": "o3"}),
    Example("datasets.subject", {"name": "owners", "column": "none", "value": "o3"}, fails="invalid_input"),
    Example("datasets.erase_subject", {"name": "owners", "column": "owner", "value": "o3"}),
    Example(
        "datasets.erase_subject",
        {"name": "owners", "column": "owner", "value": "o3", "also": ["flights"], "dry_run": False},
    ),
    Example("datasets.purge", {"name": "owners", "version": 1, "reason": "An owner asked for it."}),
    Example("datasets.purge", {"name": "owners", "version": 2, "reason": "To see."}, fails="refused"),
    Example("datasets.preview", {"name": "owners", "version": 1}, fails="not_found"),
]
GOVERNANCE = [
    Example("governance.grant", {"principal": "ada", "roles": ["deployer"]}),
    Example("governance.principals"),
    Example("governance.projects"),
    Example("tokens.create", {"principal": "ada", "expires_in": "1d"}, label="token"),
    Example("tokens.list", {"principal": "ada"}),
    Example("tokens.revoke", lambda seen: {"id": seen["token"]["token"]["id"]}),
    Example("governance.revoke", {"principal": "ada"}),
    Example("governance.hold", lambda seen: {"urn": f"run:default/{run_of(seen)}", "reason": "Case 7."}),
    Example("governance.hold", {"urn": "experiment:default/none", "reason": "Case 8."}, fails="not_found"),
    Example("governance.holds"),
    Example("governance.release", lambda seen: {"urn": f"run:default/{run_of(seen)}", "reason": "It is closed."}),
    Example("runs.start", {"experiment": "delay", "name": "in vain"}, label="in_vain"),
    Example("runs.delete", lambda seen: {"id": seen["in_vain"]["id"]}),
    Example("runs.gc", {"older_than": "0s"}),
    Example("runs.gc", lambda seen: {"dry_run": False, "runs": [seen["in_vain"]["id"]]}),
    Example("runs.gc", lambda seen: {"dry_run": False, "runs": [seen["in_vain"]["id"]]}, fails="not_found"),
    Example("retention.set", {"name": "usual", "rules": {"checkpoints": 3, "failed_metrics_for": "30d"}}),
    Example("retention.set", {"name": "empty", "rules": {}}, fails="invalid_input"),
    Example("retention.declare", {"policies": {"declared": {"deleted_for": "10d"}}}),
    Example("retention.set", {"name": "declared", "rules": {"deleted_for": "90d"}}, fails="conflict"),
    Example("retention.list"),
    Example("retention.apply"),
    Example("retention.remove", {"name": "usual"}),
    Example("store.gc", {"dry_run": True, "grace": "0s"}),
    Example("store.gc", {"grace": "soon"}, fails="invalid_input"),
    Example("store.trash"),
    Example("store.undelete"),
    Example("store.undelete", {"stamp": "never"}, fails="not_found"),
    Example("store.fsck", {"rebuild": True}),
    Example("store.verify"),
    Example("store.verify", {"reference": "flights@1"}),
    Example("store.verify", {"reference": "flights@99"}, fails="not_found"),
    Example("models.create", {"name": "short"}),
    Example("models.delete", {"name": "short"}),
    Example("models.delete_version", {"name": "late", "version": 1, "reason": "It is bad."}, fails="refused"),
]
LEDGER = [
    Example("audit.entries", {"kind": "models.", "limit": 4}),
    Example("audit.entries", {"limit": "many"}, fails="invalid_input"),
    Example("audit.verify"),
    Example("lineage.graph", {"urn": "dataset:default/flights@1", "direction": "downstream", "depth": 2}),
    Example("lineage.graph", {}, fails="invalid_input"),
]
REMOTES = [
    Example("remotes.add", {"name": "origin", "url": BESIDE}),
    Example("remotes.add", {"name": "origin", "url": "ftp://host/path"}, fails="invalid_input"),
    Example("remotes.list"),
    Example("remotes.get", {"name": "origin"}),
    Example("remotes.push", {"name": "origin", "dataset": "weather"}),
    Example("remotes.push", {"name": "origin", "dataset": "none"}, fails="not_found"),
    Example("remotes.refs", {"name": "origin", "dataset": "weather"}),
    Example("remotes.pull", {"name": "origin", "dataset": "weather"}),
    Example("remotes.pull", {"name": "origin", "dataset": "weather", "below": "a/b"}, fails="invalid_input"),
    Example("remotes.gc", {"name": "origin"}),
    Example("store.repair", {"remote": "origin"}),
    Example("remotes.remove", {"name": "origin"}),
    Example("remotes.get", {"name": "origin"}, fails="not_found"),
    Example("datasets.import_url", {"name": "elsewhere", "url": ELSEWHERE.as_uri(), "note": "It stays there."}),
    Example("datasets.import_url", {"name": "elsewhere", "url": "nothing"}, fails="invalid_input"),
    Example("datasets.verify_import", {"name": "elsewhere"}),
    Example("datasets.materialize", {"name": "elsewhere", "at": "1"}),
    Example("datasets.verify_import", {"name": "elsewhere"}, fails="invalid_input"),
]
SCENARIO = [
    *DATASETS,
    *CHANGES,
    *HISTORY,
    *FEATURES,
    *TRACKING,
    *TRACES,
    *PIPELINES,
    *MODELS,
    *SERVING,
    *ROLLOUTS,
    *MONITORS,
    *PACKAGES,
    *LOOPS,
    *SPLITS,
    *REMOTES,
    *GOVERNANCE,
    *LEDGER,
]
