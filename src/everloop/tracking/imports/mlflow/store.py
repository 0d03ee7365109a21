"""MLflow's store in a database: SQLite or PostgreSQL, of any version from 1.0 on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
from sqlalchemy import func, select

from everloop.kernel.clock import EPOCH
from everloop.tracking.imports import folders
from everloop.tracking.imports.artifacts import Artifacts
from everloop.tracking.imports.bringing import mark_of
from everloop.tracking.imports.entities import (
    ForeignExperiment,
    ForeignModel,
    ForeignRegistered,
    Found,
    Seen,
    Untaken,
)
from everloop.tracking.imports.mlflow import inputs, models
from everloop.tracking.imports.mlflow.database import Database, pages
from everloop.tracking.imports.mlflow.points import Points
from everloop.tracking.imports.mlflow.runs import at_millis, run_of

_RUN: tuple[str, ...] = (
    "run_uuid",
    "name",
    "user_id",
    "status",
    "start_time",
    "end_time",
    "lifecycle_stage",
    "deleted_time",
)
_RUN += ("experiment_id", "artifact_uri")


class MlflowDatabase:
    """A store of MLflow's in a database, and its artifacts where they are."""

    def __init__(self, url: str, artifacts: Path | None = None) -> None:
        self._database = Database(url)
        self._given = artifacts
        self._artifacts = Artifacts(artifacts, self._database.folder)
        self._places: dict[str, str] = {}
        self._seen: dict[str, Seen] = {}
        self.untaken: list[Untaken] = []
        traces = self._database.count("trace_info")
        if traces:
            self._tell("", f"{traces:,} traces", "traces are not taken; send them again to /v1/traces")

    @property
    def identity(self) -> str:
        """The database's address, without the password."""
        return f"mlflow {self._database.address}"

    def close(self) -> None:
        """Let the database go."""
        self._database.close()

    def experiments(self) -> list[ForeignExperiment]:
        """The experiments, the deleted ones too."""
        tags = self._database.texts("experiment_tags", "experiment_id", None)
        wanted = ("experiment_id", "name", "lifecycle_stage", "creation_time", "last_update_time", "workspace")
        found = []
        for row in self._database.rows("experiments", wanted):
            elsewhere = row["workspace"] not in (None, "default")
            title = f"{row['workspace']}/{row['name']}" if elsewhere else row["name"]
            key, at = str(row["experiment_id"]), at_millis(row["creation_time"]) or EPOCH
            deleted = at_millis(row["last_update_time"]) or at if row["lifecycle_stage"] == "deleted" else None
            noted = tags.get(key, {}) | {"mlflow.imported.experiment_id": key}
            found.append(ForeignExperiment(key, title, at, tags=noted, deleted=deleted))
        return found

    def survey(self) -> Mapping[str, Seen]:
        """Every run, parents first as far as they began first."""
        metrics = self._database.table("metrics")
        counts = dict(self._database.all(select(metrics.c.run_uuid, func.count()).group_by(metrics.c.run_uuid)))
        runs = self._database.table("runs")
        ids = [id for (id,) in self._database.all(select(runs.c.run_uuid).order_by(runs.c.start_time, runs.c.run_uuid))]
        self._seen = {}
        for page in pages(ids):
            for found, root in self._found(page):
                id = found.run.id
                files = folders.state_of(root) if root else []
                of_models = [folders.state_of(it) for it in self._roots_of(found.models)]
                mark = mark_of(found.run, counts.get(id, 0), found.outputs, files, of_models)
                self._seen[id] = Seen(mark, counts.get(id, 0), len(files))
        if self._given is not None and ids and not self._artifacts.found:
            self._tell("", "artifacts", f"{self._given} holds no folder of any of these runs")
        return self._seen

    def runs(self, ids: Sequence[str]) -> Iterator[Found]:
        """Some runs, whole."""
        with Points(self._database) as points:
            for page in pages(ids):
                for found, root in self._found(page):
                    known = self._seen.get(found.run.id)
                    found.mark = known.mark if known else 1
                    try:
                        found.series = points.of(found.run.id)
                    except points.unreadable as error:
                        self._tell(found.run.id, "run", f"its metrics cannot be read ({error})")
                        continue
                    if root is not None:
                        found.files = list(folders.below(root, self._telling(found.run.id)))
                    found.models = [self._with_files(model) for model in found.models]
                    yield found

    def registered(self) -> list[ForeignRegistered]:
        """The registered models."""
        return models.registered(self._database)

    def _found(self, ids: Sequence[str]) -> Iterator[tuple[Found, Path | None]]:
        """Some runs without points and files, each with the folder of its files."""
        database = self._database
        rows = {row["run_uuid"]: row for row in database.rows("runs", _RUN, "run_uuid", ids)}
        parameters, tags = database.texts("params", "run_uuid", ids), database.texts("tags", "run_uuid", ids)
        datasets, made = inputs.datasets(database, ids), inputs.edges(database, "RUN_OUTPUT", ids)
        used = inputs.edges(database, "RUN_INPUT", ids)
        logged, places = models.logged(database, ids)
        self._places |= places
        for id in ids:
            if id not in rows:
                continue
            run = run_of(rows[id], parameters.get(id, {}), tags.get(id, {}))
            run = msgspec.structs.replace(run, inputs=tuple(datasets.get(id, ())), used=tuple(used.get(id, ())))
            root = self._artifacts.of(str(rows[id]["artifact_uri"] or ""), run.id)
            if root and isinstance(root, str):
                self._tell(id, "artifacts", root)
            found = Found(run, 0, models=logged.get(id, ()), outputs=made.get(id, {}))
            yield found, None if isinstance(root, str) else root

    def _roots_of(self, logged: Sequence[ForeignModel]) -> Iterator[Path]:
        for model in logged:
            root = self._artifacts.of(self._places[model.id], model.id)
            if isinstance(root, Path):
                yield root

    def _with_files(self, model: ForeignModel) -> ForeignModel:
        root = self._artifacts.of(self._places[model.id], model.id)
        if isinstance(root, str):
            self._tell(model.id, "artifacts", root or "its folder is missing")
            return model
        return msgspec.structs.replace(model, files=tuple(folders.below(root, self._telling(model.id))))

    def _telling(self, of: str) -> folders.Telling:
        return lambda what, why: self._tell(of, f"file {what}", why)

    def _tell(self, of: str, what: str, why: str) -> None:
        self.untaken.append(Untaken(of, what, why))
