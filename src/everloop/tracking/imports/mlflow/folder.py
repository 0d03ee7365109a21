"""MLflow's store in a folder, `mlruns`: a file for each parameter, tag and metric, YAML for the rest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from everloop.kernel.clock import EPOCH
from everloop.kernel.errors import InvalidInput, NotFound
from everloop.tracking.entities import LoggedModelStatus, RunStatus
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
from everloop.tracking.imports.mlflow.inputs import dataset
from everloop.tracking.imports.mlflow.runs import LONGEST_ID, LONGEST_MODEL, at_millis

if TYPE_CHECKING:
    from everloop.tracking.points import Columns

META = "meta.yaml"
_TRASH = ".trash"
_MODELS = "models"
_STATUSES: Mapping[int, RunStatus] = {1: "running", 2: "scheduled", 3: "finished", 4: "failed", 5: "killed"}
_MODEL_STATUSES: Mapping[int, LoggedModelStatus] = {1: "pending", 2: "ready", 3: "failed"}
_FIELDS = 3
Yaml = Mapping[str, Any]
"""What a YAML file says: `Any`, as JSON."""


class MlflowFolder:
    """A folder `mlruns`, with its artifacts where they are."""

    def __init__(self, folder: Path, artifacts: Path | None = None) -> None:
        self._folder = folder
        self._artifacts = Artifacts(artifacts, folder)
        self._groups: dict[str, Path] = {}
        self._runs: dict[str, Path] = {}
        self._seen: dict[str, Seen] = {}
        self.untaken: list[Untaken] = []
        for place in (*folder.glob(f"[!.]*/{META}"), *folder.glob(f"{_TRASH}/*/{META}")):
            if place.parent.name != _MODELS:
                self._groups[place.parent.name] = place.parent
        if not self._groups and not (folder / _MODELS).is_dir():
            raise InvalidInput(
                f"{folder} is no store of MLflow's: no folder in it has a {META}.",
                hint="Give the folder `mlruns`, or the address of MLflow's database.",
            )

    @property
    def identity(self) -> str:
        """The folder."""
        return f"mlflow {self._folder.resolve()}"

    def experiments(self) -> list[ForeignExperiment]:
        """The experiments, the deleted ones too."""
        found = []
        for key, folder in sorted(self._groups.items()):
            said = self._read(folder / META)
            at = at_millis(said.get("creation_time")) or EPOCH
            gone = said.get("lifecycle_stage") == "deleted" or folder.parent.name == _TRASH
            deleted = at_millis(said.get("last_update_time")) or at if gone else None
            tags = _texts(folder / "tags") | {"mlflow.imported.experiment_id": key}
            found.append(ForeignExperiment(key, str(said.get("name", key)), at, tags=tags, deleted=deleted))
        return found

    def survey(self) -> Mapping[str, Seen]:
        """Every run."""
        for group in self._groups.values():
            for place in group.glob(f"*/{META}"):
                if place.parent.name not in ("datasets", _MODELS, "tags", "traces"):
                    self._runs[place.parent.name] = place.parent
        for id, folder in self._runs.items():
            found = self._found(id, folder)
            if found is not None:
                root = self._root(id, folder)
                metrics = folders.state_of(folder / "metrics")
                files = folders.state_of(root) if root else []
                mark = mark_of(found.run, found.outputs, metrics, files)
                self._seen[id] = Seen(mark, sum(_lines(folder / "metrics" / name) for name, *_ in metrics), len(files))
        return self._seen

    def runs(self, ids: Sequence[str]) -> Iterator[Found]:
        """Some runs, whole."""
        for id in ids:
            folder = self._runs[id]
            found = self._found(id, folder)
            if found is None:
                continue
            found.mark = self._seen[id].mark
            found.series = self._series(id, folder / "metrics")
            root = self._root(id, folder)
            found.files = list(folders.below(root, self._telling(id))) if root else ()
            found.models = [self._model(folder.parent / _MODELS / it) for it in self._logged(id, folder)]
            yield found

    def registered(self) -> list[ForeignRegistered]:
        """The registered models."""
        found = []
        for place in sorted(self._folder.glob(f"{_MODELS}/*/{META}")):
            said, folder = self._read(place), place.parent
            versions = [self._version(it) for it in folder.glob(f"version-*/{META}")]
            aliases = {key: int(text) for key, text in _texts(folder / "aliases").items() if text.isdecimal()}
            found.append(
                ForeignRegistered(
                    str(said.get("name", folder.name)),
                    at_millis(said.get("creation_timestamp")) or EPOCH,
                    said.get("description") or "",
                    _texts(folder / "tags"),
                    aliases,
                    tuple(sorted(versions, key=lambda it: it.number)),
                )
            )
        return found

    def _version(self, place: Path) -> ForeignVersion:
        said = self._read(place)
        return ForeignVersion(
            int(said["version"]),
            at_millis(said.get("creation_timestamp")) or EPOCH,
            str(said.get("source") or ""),
            str(said.get("run_id") or ""),
            str(said.get("description") or ""),
            str(said.get("user_id") or ""),
            stage=str(said.get("current_stage") or "None"),
            link=str(said.get("run_link") or ""),
            place=str(said.get("storage_location") or ""),
            tags=_texts(place.parent / "tags"),
        )

    def _found(self, id: str, folder: Path) -> Found | None:
        """A run without points and files; nothing where it cannot be read."""
        try:
            said = self._read(folder / META)
        except (InvalidInput, NotFound) as error:
            self.untaken.append(Untaken(id, "run", error.message))
            return None
        tags = _texts(folder / "tags")
        at, ended = at_millis(said.get("start_time")), at_millis(said.get("end_time"))
        gone = said.get("lifecycle_stage") == "deleted"
        inputs, used, outputs = self._edges(folder)
        run = ForeignRun(
            id,
            folder.parent.name,
            str(said.get("run_name") or tags.get("mlflow.runName", "")),
            _STATUSES.get(said.get("status", 3), "finished"),
            at or ended or EPOCH,
            ended,
            str(said.get("user_id") or tags.get("mlflow.user", "")),
            tags.get("mlflow.parentRunId", "")[:LONGEST_ID],
            note=tags.get("mlflow.note.content", ""),
            parameters=_texts(folder / "params"),
            tags=tags,
            inputs=tuple(inputs),
            used=tuple(used),
            revision=tags.get("mlflow.source.git.commit", ""),
            branch=tags.get("mlflow.source.git.branch", ""),
            deleted=(at_millis(said.get("deleted_time")) or ended or EPOCH) if gone else None,
        )
        return Found(run, 1, outputs=outputs)

    def _root(self, id: str, folder: Path) -> Path | None:
        """The folder of a run's artifacts: where its description says, or else in the run's own folder."""
        uri = str(self._read(folder / META).get("artifact_uri") or "")
        found = self._artifacts.of(uri, id)
        if isinstance(found, Path):
            return found
        beside = folder / "artifacts"  # The store was moved with its artifacts, which says nothing to the description.
        if found and not (beside.is_dir() and uri.endswith(f"{folder.parent.name}/{id}/artifacts")):
            self.untaken.append(Untaken(id, "artifacts", found))
        return beside if beside.is_dir() else None

    def _edges(self, folder: Path) -> tuple[list[bytes], list[str], dict[str, int]]:
        """What a run used: datasets and logged models; and the logged models that came out of it."""
        inputs, used, outputs = [], [], {}
        for place in sorted(folder.glob(f"inputs/*/{META}")):
            said = self._read(place)
            if said.get("source_type") == "DATASET":
                known = folder.parent / "datasets" / str(said.get("source_id")) / META
                if known.is_file():
                    of = self._read(known)
                    fields = ("name", "digest", "source_type", "source", "schema", "profile")
                    tags = [{"key": str(k), "value": str(v)} for k, v in (said.get("tags") or {}).items()]
                    inputs.append(dataset([str(of.get(it) or "") for it in fields], tags))
            elif said.get("destination_type") == "MODEL_INPUT":
                used.append(str(said.get("destination_id"))[:LONGEST_MODEL])
        for place in sorted(folder.glob(f"outputs/*/{META}")):
            said = self._read(place)
            outputs[str(said.get("destination_id"))[:LONGEST_MODEL]] = int(said.get("step") or 0)
        return inputs, used, outputs

    def _logged(self, id: str, folder: Path) -> list[str]:
        """The logged models of a run, by the names of their folders."""
        places = (folder.parent / _MODELS).glob(f"m-*/{META}")
        return [it.parent.name for it in places if self._read(it).get("source_run_id") == id]

    def _model(self, folder: Path) -> ForeignModel:
        said = self._read(folder / META)
        at = at_millis(said.get("creation_timestamp")) or EPOCH
        updated = at_millis(said.get("last_updated_timestamp")) or at
        id = folder.name[:LONGEST_MODEL]
        root = folder / "artifacts"
        return ForeignModel(
            id,
            str(said.get("name") or id),
            str(said.get("model_type") or ""),
            _MODEL_STATUSES.get(said.get("status", 2), "ready"),
            at,
            updated,
            _texts(folder / "params"),
            _texts(folder / "tags"),
            updated if said.get("lifecycle_stage") == "deleted" else None,
            files=tuple(folders.below(root, self._telling(id))) if root.is_dir() else (),
        )

    def _series(self, id: str, folder: Path) -> dict[str, Columns]:
        found = {}
        for name, *_ in folders.state_of(folder):
            try:
                columns = _columns((folder / name).read_text())
            except (ValueError, OSError) as error:
                self.untaken.append(Untaken(id, f"metric {name}", str(error)))
                continue
            if len(columns[0]):
                found[name] = columns
        return found

    def _read(self, place: Path) -> Yaml:
        """What a YAML file says.

        Raises:
            NotFound: it is gone.
            InvalidInput: it cannot be read.
        """
        import yaml

        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        try:
            found = yaml.load(place.read_text(), loader)
        except FileNotFoundError:
            raise NotFound(f"There is no file {place}.") from None
        except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
            raise InvalidInput(f"{place} cannot be read ({error}).") from None
        if not isinstance(found, dict):
            raise InvalidInput(f"{place} says nothing.")
        return found

    def _telling(self, of: str) -> folders.Telling:
        return lambda what, why: self.untaken.append(Untaken(of, f"file {what}", why))


def _texts(folder: Path) -> dict[str, str]:
    """The texts that a folder holds, one a file; keys may have folders in them."""
    return {name: (folder / name).read_text(errors="replace") for name, *_ in folders.state_of(folder)}


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n")


def _columns(text: str) -> Columns:
    """The points of a metric's file: a line has a time (ms), a value and, in newer stores, a step.

    Raises:
        ValueError: a line has something else.
    """
    import numpy as np

    lines = text.splitlines()
    fields = {line.count(" ") for line in lines}
    if fields == {_FIELDS - 1}:
        numbers = np.array(text.split()).reshape(-1, _FIELDS)
    else:
        parts = [[*line.split(), "0"][:_FIELDS] for line in lines if line.strip()]
        numbers = np.array(parts, dtype=str).reshape(-1, _FIELDS)
    at, step = (numbers[:, column].astype(np.int64) for column in (0, 2))
    return step, at * 1000, numbers[:, 1].astype(np.float64)
