"""MLflow's store in a database: SQLite or PostgreSQL, of any version from 1.0 on.

Tables and columns are taken as they are found there: those that came with a later version may be missing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import MetaData, Table, create_engine, func, inspect, null, select
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from everloop.kernel.clock import EPOCH, from_micros
from everloop.kernel.errors import InvalidInput, Misconfigured, NotFound, Unavailable
from everloop.tracking.entities import LoggedModelStatus, Measured, RunStatus
from everloop.tracking.imports import folders
from everloop.tracking.imports.artifacts import Artifacts
from everloop.tracking.imports.bringing import mark_of
from everloop.tracking.imports.entities import (
    ForeignExperiment,
    ForeignModel,
    ForeignRegistered,
    ForeignRun,
    ForeignVersion,
    Found,
    Seen,
    Untaken,
)

if TYPE_CHECKING:
    from everloop.tracking.points import Columns

DRIVERS = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}
STATUSES: Mapping[str, RunStatus] = {
    "RUNNING": "running",
    "SCHEDULED": "scheduled",
    "FINISHED": "finished",
    "FAILED": "failed",
    "KILLED": "killed",
}
LONGEST_ID = 32
"""So long the id of a run is; ..."""
LONGEST_MODEL = 40
"""... and so long that of a logged model may be."""
_MODEL_STATUSES: Mapping[int, LoggedModelStatus] = {1: "pending", 2: "ready", 3: "failed"}
_LARGEST = 1.7976931348623157e308
"""What MLflow's databases hold for infinity."""
_PAGE = 500
_FETCHED = 200_000
_VERSION: tuple[str, ...] = (
    "name",
    "version",
    "creation_time",
    "description",
    "user_id",
    "current_stage",
    "source",
    "run_id",
)
_VERSION += ("run_link", "storage_location")
_NEEDED = ("experiments", "runs", "metrics", "params", "tags")


class MlflowDatabase:
    """A store of MLflow's in a database, and its artifacts where they are."""

    def __init__(self, url: str, artifacts: Path | None = None) -> None:
        self._url = _url(url)
        self._engine = create_engine(self._url)
        self._tables: dict[str, Table | None] = {}
        self._given = artifacts
        self._artifacts = Artifacts(artifacts, _folder_of(self._url))
        self._seen: Mapping[str, Seen] = {}
        self.untaken: list[Untaken] = []
        self._check()

    @property
    def identity(self) -> str:
        """The database's address, without the password."""
        return f"mlflow {_shown(self._url.set(password=None))}"

    def close(self) -> None:
        """Let the database go."""
        self._engine.dispose()

    def experiments(self) -> list[ForeignExperiment]:
        """The experiments, the deleted ones too."""
        tags = self._texts("experiment_tags", "experiment_id", None)
        wanted = ("experiment_id", "name", "lifecycle_stage", "creation_time", "last_update_time", "workspace")
        found = []
        for row in self.rows("experiments", wanted):
            elsewhere = row["workspace"] not in (None, "default")
            title = f"{row['workspace']}/{row['name']}" if elsewhere else row["name"]
            key, at = str(row["experiment_id"]), at_millis(row["creation_time"]) or EPOCH
            deleted = at_millis(row["last_update_time"]) or at if row["lifecycle_stage"] == "deleted" else None
            noted = tags.get(key, {}) | {"mlflow.imported.experiment_id": key}
            found.append(ForeignExperiment(key, title, at, tags=noted, deleted=deleted))
        return found

    def survey(self) -> Mapping[str, Seen]:
        """Every run, parents first as far as they began first."""
        metrics = self.table("metrics")
        counts = dict(self._all(select(metrics.c.run_uuid, func.count()).group_by(metrics.c.run_uuid)))
        runs = self.table("runs")
        ids = [id for (id,) in self._all(select(runs.c.run_uuid).order_by(runs.c.start_time, runs.c.run_uuid))]
        self._seen = {}
        for page in _pages(ids):
            for found, root in self._found(page, counts):
                files = folders.state_of(root) if root else []
                models = [folders.state_of(it) for it in self._roots_of(found.models)]
                mark = mark_of(found.run, counts.get(found.run.id, 0), found.outputs, files, models)
                self._seen[found.run.id] = Seen(mark, counts.get(found.run.id, 0), len(files))
        if self._given is not None and ids and not self._artifacts.found:
            self._tell("", "artifacts", f"{self._given} holds no folder of any of these runs")
        return self._seen

    def runs(self, ids: Sequence[str]) -> Iterator[Found]:
        """Some runs, whole."""
        for page in _pages(ids):
            with self._engine.connect() as connection:
                cursor = connection.connection.cursor()
                for found, root in self._found(page, {}):
                    known = self._seen.get(found.run.id)
                    found.mark = known.mark if known else 1
                    try:
                        found.series = self._series(cursor, found.run.id)
                    except connection.dialect.loaded_dbapi.Error as error:
                        self._tell(found.run.id, "run", f"its metrics cannot be read ({error})")
                        continue
                    if root is not None:
                        found.files = list(folders.below(root, self._telling(found.run.id)))
                    found.models = [self._with_files(model) for model in found.models]
                    yield found

    def registered(self) -> list[ForeignRegistered]:
        """The registered models."""
        noted = self._noted("registered_model_tags", ("name",))
        of_versions = self._noted("model_version_tags", ("name", "version"))
        aliases: dict[str, dict[str, int]] = defaultdict(dict)
        for row in self.rows("registered_model_aliases", ("name", "alias", "version")):
            aliases[row["name"]][row["alias"]] = row["version"]
        versions: dict[str, list[ForeignVersion]] = defaultdict(list)
        for row in self.rows("model_versions", _VERSION):
            tags = of_versions.get((row["name"], row["version"]), {})
            versions[row["name"]].append(_version(row, tags))
        wanted = ("name", "creation_time", "description")
        return [
            ForeignRegistered(
                row["name"],
                at_millis(row["creation_time"]) or EPOCH,
                row["description"] or "",
                noted.get((row["name"],), {}),
                aliases.get(row["name"], {}),
                tuple(sorted(versions[row["name"]], key=lambda it: it.number)),
            )
            for row in self.rows("registered_models", wanted)
        ]

    def _noted(self, table: str, of: Sequence[str]) -> dict[tuple[object, ...], dict[str, str]]:
        found: dict[tuple[object, ...], dict[str, str]] = defaultdict(dict)
        for row in self.rows(table, (*of, "key", "value")):
            found[tuple(row[it] for it in of)][row["key"]] = row["value"] or ""
        return found

    def rows(self, name: str, columns: Sequence[str], among: str = "", of: Sequence[Any] = ()) -> Iterator[Any]:
        """Rows of a table as mappings; a column that it does not have is None, a table that is not there is empty."""
        table = self.known_table(name)
        if table is None:
            return
        query = select(*(table.c[it] if it in table.c else null().label(it) for it in columns))
        for page in _pages(of) if among else [()]:
            with self._engine.connect() as connection:
                asked = query.where(table.c[among].in_(page)) if among else query
                yield from connection.execute(asked).mappings()

    def known_table(self, name: str) -> Table | None:
        """A table, if the store has it."""
        if name not in self._tables:
            there = inspect(self._engine).has_table(name)
            self._tables[name] = Table(name, MetaData(), autoload_with=self._engine) if there else None
        return self._tables[name]

    def table(self, name: str) -> Table:
        """A table that every store has."""
        found = self.known_table(name)
        if found is None:
            raise _no_store(self._url, [name])
        return found

    def count(self, name: str) -> int:
        """How many rows a table has; none where it is missing."""
        table = self.known_table(name)
        return 0 if table is None else int(self._all(select(func.count()).select_from(table))[0][0])

    def _check(self) -> None:
        """Let a database through that is a store of MLflow's.

        Raises:
            Unavailable: it does not answer.
            InvalidInput: it is another thing.
        """
        try:
            missing = [name for name in _NEEDED if self.known_table(name) is None]
        except DBAPIError as error:
            if "not a database" in str(error.orig) or "malformed" in str(error.orig):
                raise InvalidInput(f"{_shown(self._url)} is no database ({error.orig}).") from None
            raise Unavailable(f"{_shown(self._url)} does not answer ({error.orig}).") from None
        if missing:
            raise _no_store(self._url, missing)
        lacking = [it for it in ("run_uuid", "experiment_id", "status") if it not in self.table("runs").c]
        if lacking:
            raise InvalidInput(f"{_shown(self._url)} has runs without {', '.join(lacking)}.")
        traces = self.count("trace_info")
        if traces:
            self.untaken.append(
                Untaken("", f"{traces:,} traces", "traces are not taken; send them again to /v1/traces")
            )

    def _found(self, ids: Sequence[str], counts: Mapping[str, int]) -> Iterator[tuple[Found, Path | None]]:
        """Some runs without points and files, each with the folder of its files."""
        wanted = ("run_uuid", "name", "user_id", "status", "start_time", "end_time", "lifecycle_stage", "deleted_time")
        rows = {
            row["run_uuid"]: row
            for row in self.rows("runs", (*wanted, "experiment_id", "artifact_uri"), "run_uuid", ids)
        }
        parameters, tags = self._texts("params", "run_uuid", ids), self._texts("tags", "run_uuid", ids)
        inputs, outputs, used = self._inputs(ids), self._edges("RUN_OUTPUT", ids), self._edges("RUN_INPUT", ids)
        models = self._models(ids)
        for id in ids:
            if id not in rows:
                continue
            run = _run(rows[id], parameters.get(id, {}), tags.get(id, {}))
            run = msgspec.structs.replace(run, inputs=tuple(inputs.get(id, ())), used=tuple(used.get(id, ())))
            root = self._artifacts.of(str(rows[id]["artifact_uri"] or ""), run.id)
            if root and isinstance(root, str):
                self._tell(id, "artifacts", root)
            yield (
                Found(run, 0, models=models.get(id, ()), outputs=outputs.get(id, {})),
                None if isinstance(root, str) else root,
            )

    def _texts(self, table: str, of: str, ids: Sequence[str] | None) -> dict[str, dict[str, str]]:
        found: dict[str, dict[str, str]] = defaultdict(dict)
        for row in self.rows(table, (of, "key", "value"), of if ids is not None else "", ids or ()):
            found[str(row[of])][row["key"]] = row["value"] or ""
        return found

    def _inputs(self, ids: Sequence[str]) -> dict[str, list[bytes]]:
        """What each run used, in the words that MLflow's clients describe datasets in."""
        if self.known_table("inputs") is None:
            return {}
        edges = [
            row
            for row in self.rows(
                "inputs",
                ("input_uuid", "source_type", "source_id", "destination_type", "destination_id"),
                "destination_id",
                ids,
            )
            if (row["source_type"], row["destination_type"]) == ("DATASET", "RUN")
        ]
        columns = ("name", "digest", "dataset_source_type", "dataset_source", "dataset_schema", "dataset_profile")
        datasets = {
            row["dataset_uuid"]: row
            for row in self.rows(
                "datasets",
                ("dataset_uuid", *columns),
                "dataset_uuid",
                list({edge["source_id"] for edge in edges}),
            )
        }
        noted: dict[str, list[dict[str, str]]] = defaultdict(list)
        uuids = [edge["input_uuid"] for edge in edges]
        for row in self.rows("input_tags", ("input_uuid", "name", "value"), "input_uuid", uuids):
            noted[row["input_uuid"]].append({"key": row["name"], "value": row["value"]})
        found: dict[str, list[bytes]] = defaultdict(list)
        for edge in edges:
            if edge["source_id"] in datasets:
                told = [str(datasets[edge["source_id"]][column] or "") for column in columns]
                found[edge["destination_id"]].append(dataset(told, noted[edge["input_uuid"]]))
        return found

    def _edges(self, kind: str, ids: Sequence[str]) -> dict[str, dict[str, int]]:
        """The logged models that came out of runs, or went into them, with the step."""
        if self.known_table("inputs") is None:
            return {}
        found: dict[str, dict[str, int]] = defaultdict(dict)
        for row in self.rows("inputs", ("source_type", "source_id", "destination_id", "step"), "source_id", ids):
            if row["source_type"] == kind:
                found[row["source_id"]][row["destination_id"][:LONGEST_MODEL]] = row["step"] or 0
        return found

    def _models(self, ids: Sequence[str]) -> dict[str, list[ForeignModel]]:
        """The models that were logged by some runs, with files that are not looked for yet."""
        if self.known_table("logged_models") is None:
            return {}
        wanted: tuple[str, ...] = (
            "model_id",
            "name",
            "artifact_location",
            "creation_timestamp_ms",
            "last_updated_timestamp_ms",
        )
        wanted += ("status", "lifecycle_stage", "model_type", "source_run_id")
        rows = list(self.rows("logged_models", wanted, "source_run_id", ids))
        known = [row["model_id"] for row in rows]
        parameters = self._of_models("logged_model_params", "param_key", "param_value", known)
        tags = self._of_models("logged_model_tags", "tag_key", "tag_value", known)
        measured = self._measured(known)
        found: dict[str, list[ForeignModel]] = defaultdict(list)
        for row in rows:
            id = row["model_id"]
            at, updated = (at_millis(row[it]) or EPOCH for it in wanted[3:5])
            self._artifacts.places[id[:LONGEST_MODEL]] = (row["artifact_location"] or "", id)
            found[row["source_run_id"]].append(
                ForeignModel(
                    id[:LONGEST_MODEL],
                    row["name"] or id[-8:],
                    row["model_type"] or "",
                    _MODEL_STATUSES.get(row["status"], "ready"),
                    at,
                    updated,
                    parameters.get(id, {}),
                    tags.get(id, {}),
                    updated if row["lifecycle_stage"] == "deleted" else None,
                    tuple(measured.get(id, ())),
                )
            )
        return found

    def _of_models(self, table: str, key: str, value: str, ids: Sequence[str]) -> dict[str, dict[str, str]]:
        found: dict[str, dict[str, str]] = defaultdict(dict)
        for row in self.rows(table, ("model_id", key, value), "model_id", ids):
            found[row["model_id"]][row[key]] = row[value] or ""
        return found

    def _measured(self, ids: Sequence[str]) -> dict[str, list[Measured]]:
        wanted = ("model_id", "run_id", "metric_name", "metric_value", "metric_timestamp_ms", "metric_step")
        found: dict[str, list[Measured]] = defaultdict(list)
        for row in self.rows("logged_model_metrics", (*wanted, "dataset_name", "dataset_digest"), "model_id", ids):
            known = [row["dataset_name"] or "", row["dataset_digest"] or ""]
            found[row["model_id"]].append(Measured(*(row[it] for it in wanted[1:]), *known))
        return found

    def _roots_of(self, models: Sequence[ForeignModel]) -> Iterator[Path]:
        for model in models:
            root = self._artifacts.of(*self._artifacts.places[model.id])
            if isinstance(root, Path):
                yield root

    def _with_files(self, model: ForeignModel) -> ForeignModel:
        root = self._artifacts.of(*self._artifacts.places[model.id])
        if isinstance(root, str):
            self._tell(model.id, "artifacts", root or "its folder is missing")
            return model
        return msgspec.structs.replace(model, files=tuple(folders.below(root, self._telling(model.id))))

    def _series(self, cursor: Any, run: str) -> dict[str, Columns]:
        """The points of a run, by the driver: a row costs half a microsecond so."""
        mark = "?" if self._url.get_backend_name() == "sqlite" else "%s"
        names = self.table("metrics").c
        value = "CASE WHEN is_nan THEN NULL ELSE value END" if "is_nan" in names else "value"
        step = "step" if "step" in names else "0"
        # Names of columns, none of them from outside.
        cursor.execute(f"SELECT key, timestamp, {step}, {value} FROM metrics WHERE run_uuid = {mark}", (run,))  # noqa: S608
        parts: list[Mapping[str, Columns]] = []
        while rows := cursor.fetchmany(_FETCHED):
            parts.append(_columns(rows))
        return parts[0] if len(parts) == 1 else _joined(parts)  # type: ignore[return-value]  # made here

    def _all(self, query: Any) -> Sequence[Any]:
        with self._engine.connect() as connection:
            return connection.execute(query).all()

    def _telling(self, of: str) -> folders.Telling:
        return lambda what, why: self._tell(of, f"file {what}", why)

    def _tell(self, of: str, what: str, why: str) -> None:
        self.untaken.append(Untaken(of, what, why))


def dataset(told: Sequence[str], tags: list[dict[str, str]]) -> bytes:
    """A dataset that a run used, in the words in which our door for MLflow keeps it."""
    fields = ("name", "digest", "source_type", "source", "schema", "profile")
    return msgspec.json.encode({"dataset": dict(zip(fields, told, strict=True)), "tags": tags})


def at_millis(value: object) -> datetime | None:
    """A time in milliseconds since 1970, if it is one."""
    try:
        return from_micros(int(str(value)) * 1000) if value is not None else None
    except (ValueError, OverflowError):
        return None


def _version(row: Mapping[str, Any], tags: dict[str, str]) -> ForeignVersion:
    return ForeignVersion(
        int(row["version"]),
        at_millis(row["creation_time"]) or EPOCH,
        row["source"] or "",
        row["run_id"] or "",
        row["description"] or "",
        row["user_id"] or "",
        row["current_stage"] or "None",
        row["run_link"] or "",
        row["storage_location"] or "",
        tags,
    )


def _run(row: Mapping[str, Any], parameters: dict[str, str], tags: dict[str, str]) -> ForeignRun:
    started, ended = at_millis(row["start_time"]), at_millis(row["end_time"])
    deleted = (at_millis(row["deleted_time"]) or ended or EPOCH) if row["lifecycle_stage"] == "deleted" else None
    return ForeignRun(
        row["run_uuid"],
        str(row["experiment_id"]),
        row["name"] or tags.get("mlflow.runName", ""),
        STATUSES.get(str(row["status"]).upper(), "finished"),
        started or ended or EPOCH,
        ended,
        row["user_id"] or tags.get("mlflow.user", ""),
        tags.get("mlflow.parentRunId", "")[:LONGEST_ID],
        note=tags.get("mlflow.note.content", ""),
        parameters=parameters,
        tags=tags,
        revision=tags.get("mlflow.source.git.commit", ""),
        branch=tags.get("mlflow.source.git.branch", ""),
        deleted=deleted,
    )


def _columns(rows: Sequence[tuple[Any, ...]]) -> dict[str, Columns]:
    """Rows of points as columns, by key."""
    import numpy as np

    keys, times, steps, values = zip(*rows, strict=True)
    index = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    key = np.fromiter(map(index.__getitem__, keys), np.int64, len(keys))
    step, at = np.array(steps, np.int64), np.array(times, np.int64) * 1000
    value = np.array(values, np.float64)  # None becomes NaN.
    value[value == _LARGEST] = np.inf
    value[value == -_LARGEST] = -np.inf
    if len(index) == 1:
        return {keys[0]: (step, at, value)}
    order = np.argsort(key, kind="stable")
    edges = np.cumsum(np.bincount(key))[:-1]
    split = [np.split(column[order], edges) for column in (step, at, value)]
    return dict(zip(index, zip(*split, strict=True), strict=True))


def _joined(parts: Sequence[Mapping[str, Columns]]) -> dict[str, Columns]:
    from everloop.tracking.series.sealing import joined

    return {
        key: joined([part[key] for part in parts if key in part]) for key in dict.fromkeys(k for p in parts for k in p)
    }


def _pages(ids: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(ids), _PAGE):
        yield ids[start : start + _PAGE]


def _url(text: str) -> URL:
    """The address of a database; a file is one of SQLite's.

    Raises:
        NotFound: there is no such file.
        InvalidInput: it is no address of a database that is read here.
    """
    if "://" not in text:
        text = f"sqlite:///{text}"
    try:
        url = make_url(text)
        backend = url.get_backend_name()
        if backend not in DRIVERS:
            raise InvalidInput(f"MLflow's stores in {backend} are not read here.", hint="Move it to PostgreSQL first.")
        url = url.set(drivername=DRIVERS[backend])
        url.get_dialect()
    except (ArgumentError, NoSuchModuleError, SQLAlchemyError) as error:
        raise InvalidInput(f"{text[:200]!r} is no address of a database ({error}).") from None
    except ModuleNotFoundError as error:
        raise Misconfigured(f"{error.name} is not installed.", hint="pip install everloop[postgresql]") from None
    if backend != "sqlite":
        return url
    path = Path(url.database or "").absolute()
    if not path.is_file():
        raise NotFound(f"There is no file {path}.")
    # Read only: a store that people still use must not change because somebody looked at it.
    return URL.create("sqlite", database=f"file:{path}", query={"mode": "ro", "uri": "true"})


def _folder_of(url: URL) -> Path | None:
    """The folder that relative places of artifacts begin in, as far as anybody knows: the database's."""
    return Path((url.database or "").removeprefix("file:")).parent if url.get_backend_name() == "sqlite" else None


def _shown(url: URL) -> str:
    return (url.database or "").removeprefix("file:") if url.get_backend_name() == "sqlite" else url.render_as_string()


def _no_store(url: URL, missing: Sequence[str]) -> InvalidInput:
    return InvalidInput(
        f"{_shown(url)} is no store of MLflow's: it has no {', '.join(missing)}.",
        hint="Give the database that `mlflow server --backend-store-uri` names, or a folder `mlruns`.",
    )
