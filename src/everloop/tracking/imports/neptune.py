"""What neptune-exporter wrote of Neptune's projects (2.x and 3.x): Parquet of attributes, and files beside it.

Values become parameters, those below `sys/` tags; series of numbers become metrics, other series and files artifacts.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import msgspec
from blake3 import blake3

from everloop.kernel.clock import EPOCH, from_micros, micros
from everloop.kernel.errors import InvalidInput, NotFound
from everloop.tracking.entities import RunStatus
from everloop.tracking.imports import folders
from everloop.tracking.imports.bringing import mark_of
from everloop.tracking.imports.entities import ForeignExperiment, ForeignFile, ForeignRun, Found, Seen, Untaken

if TYPE_CHECKING:
    import pyarrow as pa

    from everloop.tracking.points import Columns

_PART = re.compile(r"(?P<run>.+)_part_(?P<number>\d+)\.parquet")
_COLUMNS = ("project_id", "run_id", "attribute_path", "attribute_type")
_VALUES = {"float": "float_value", "int": "int_value", "string": "string_value", "bool": "bool_value"}
_VALUES |= {"datetime": "datetime_value", "string_set": "string_set_value"}
_FILES = ("file", "file_series", "file_set", "artifact")
_MICROS = 1_000_000
"""Steps have six decimal places."""
MULTIPLIER = "neptune/step_multiplier"
"""The tag that says what steps were multiplied by, where they had decimal places."""


class _Attribute(msgspec.Struct, frozen=True):
    """A value of an attribute, or one of a series of other things than numbers."""

    path: str
    kind: str
    value: Any
    step: float | None
    at: datetime | None


class NeptuneExport:
    """The folder that an export was written to, and that of its files."""

    def __init__(self, folder: Path, files: Path | None = None) -> None:
        if not folder.is_dir():
            raise NotFound(f"There is no folder {folder}.")
        self._data = folder / "data" if (folder / "data").is_dir() else folder
        beside = self._data.parent / "files"
        self._files = files if files is not None else beside if beside.is_dir() else None
        self.untaken: list[Untaken] = []
        self._parts: dict[str, list[Path]] = {}
        self._projects: dict[str, str] = {}
        self._seen: dict[str, Seen] = {}
        self._look()

    @property
    def identity(self) -> str:
        """The folder."""
        return f"neptune {self._data.resolve()}"

    def experiments(self) -> list[ForeignExperiment]:
        """One for each project."""
        return [ForeignExperiment(project, project, EPOCH) for project in dict.fromkeys(self._projects.values())]

    def survey(self) -> Mapping[str, Seen]:
        """Every run whose export was finished."""
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        for id, parts in self._parts.items():
            state = [(it.name, it.stat().st_size, it.stat().st_mtime_ns) for it in parts]
            kinds = [pq.read_table(part, columns=["attribute_type"])[0] for part in parts]
            points = sum(int(pc.sum(pc.equal(kind, "float_series")).as_py() or 0) for kind in kinds)
            files = sum(int(pc.sum(pc.is_in(kind, _set(_FILES))).as_py() or 0) for kind in kinds)
            self._seen[id] = Seen(mark_of(state), points, files)
        return self._seen

    def runs(self, ids: Sequence[str]) -> Iterator[Found]:
        """Some runs, whole."""
        for id in ids:
            try:
                yield self._found(id)
            except (InvalidInput, OSError) as error:
                self.untaken.append(Untaken(id, "run", str(error)))

    def _look(self) -> None:
        """Find the runs.

        Raises:
            InvalidInput: there are none, or a file is none of the exporter's.
        """
        grouped: dict[tuple[Path, str], dict[int, Path]] = defaultdict(dict)
        for path in sorted(self._data.glob("*/*_part_*.parquet")):
            match = _PART.fullmatch(path.name)
            if match is not None:
                grouped[path.parent, match["run"]][int(match["number"])] = path
        if not grouped:
            raise InvalidInput(
                f"{self._data} holds no export of Neptune's: no folder in it has a …_part_0.parquet.",
                hint="Give the folder that `neptune-exporter export --data-path` named.",
            )
        for (folder, run), parts in grouped.items():
            if sorted(parts) != list(range(len(parts))):
                self.untaken.append(Untaken(run, "run", "its export was not finished: parts are missing"))
                continue
            self._name(folder, run, [parts[number] for number in sorted(parts)])
        for kind in ("models", "model_versions"):
            count = len(list(self._data.glob(f"*/{kind}/*_part_0.parquet")))
            if count:
                self.untaken.append(
                    Untaken("", f"{count:,} {kind.replace('_', ' ')}", "Neptune's registry is not read")
                )

    def _name(self, folder: Path, run: str, parts: list[Path]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            schema = pq.read_schema(parts[0])
            missing = [name for name in _COLUMNS if name not in schema.names]
            if missing:
                raise InvalidInput(f"{parts[0]} has no column {', '.join(missing)}.")
            head = pq.ParquetFile(parts[0]).iter_batches(1, columns=list(_COLUMNS[:2]))
            first = next(head, None)
        except (pa.ArrowException, OSError, InvalidInput) as error:
            self.untaken.append(Untaken(f"{folder.name}/{run}", "run", f"it cannot be read ({error})"))
            return
        if first is not None and len(first):
            project, known = (str(first[column][0].as_py()) for column in (0, 1))
            id = id_of(project, known)
            self._parts[id], self._projects[id] = parts, project

    def _found(self, id: str) -> Found:
        table = _read(self._parts[id])
        project, run = self._projects[id], str(table["run_id"][0].as_py())
        series, multiplier = _series(table)
        rest = _others(table)
        values = {it.path: it.value for it in rest if it.kind in _VALUES}
        tags = {path: _text(value) for path, value in values.items() if path.startswith("sys/")}
        tags |= {"neptune/project": project, "neptune/run_id": run}
        if multiplier != 1:
            tags[MULTIPLIER] = str(multiplier)
        told = ForeignRun(
            id,
            project,
            str(values.get("sys/name") or run),
            _status(values),
            values.get("sys/creation_time") or EPOCH,
            _ended(values, series),
            str(values.get("sys/owner") or ""),
            id_of(project, str(values["sys/forking/parent"])) if values.get("sys/forking/parent") else "",
            group=str(next(iter(values.get("sys/group_tags") or ()), "")),
            note=str(values.get("sys/description") or ""),
            parameters={path: _text(value) for path, value in values.items() if not path.startswith("sys/")},
            tags=tags,
            deleted=values.get("sys/modification_time") or EPOCH if _is_gone(values) else None,
        )
        files = [*_written(rest), *self._of_files(id, self._parts[id][0].parent.name, rest)]
        return Found(told, self._seen[id].mark, series, files)

    def _of_files(self, id: str, project: str, attributes: Sequence[_Attribute]) -> Iterator[ForeignFile]:
        """The files of a run, under the paths of their attributes; of a series with the step."""
        for it in attributes:
            if it.kind not in _FILES or not it.value or not it.value.get("path"):
                continue
            path = str(it.value["path"])
            if self._files is None:
                self.untaken.append(Untaken(id, f"file {it.path}", "no folder of files is known: give --artifacts"))
                continue
            place = self._place(project, path)
            if place is None:
                self.untaken.append(Untaken(id, f"file {it.path}", f"{path[:200]} is not among the files"))
            elif place.is_dir():
                tell = self._telling(id, it.path)
                yield from (ForeignFile(f"{it.path}/{file.path}", file.content) for file in folders.below(place, tell))
            else:
                yield ForeignFile(_called(it, place.suffix), place)

    def _place(self, project: str, path: str) -> Path | None:
        """Where a file is: below the folder of files, and its project's folder in it; nowhere else."""
        assert self._files is not None
        root = self._files.resolve()
        for place in (root / project / path, root / path):
            if place.resolve().is_relative_to(root) and place.exists():
                return place
        return None

    def _telling(self, of: str, below: str) -> folders.Telling:
        return lambda what, why: self.untaken.append(Untaken(of, f"file {below}/{what}", why))


def id_of(project: str, run: str) -> str:
    """The id that a run of Neptune's gets here."""
    return blake3(f"neptune {project} {run}".encode()).hexdigest()[:32]


def _read(parts: Sequence[Path]) -> pa.Table:
    """The attributes of a run.

    Raises:
        InvalidInput: a file is damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pa.concat_tables([pq.read_table(part) for part in parts], promote_options="default")
    except (pa.ArrowException, OSError) as error:
        raise InvalidInput(f"{parts[0].name} cannot be read ({error}).") from None


def _series(table: pa.Table) -> tuple[dict[str, Columns], int]:
    """The series of numbers, and what their steps were multiplied by to be whole."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    points = table.filter(pc.equal(table["attribute_type"], "float_series"))
    if not len(points):
        return {}, 1
    paths = pc.dictionary_encode(points["attribute_path"]).combine_chunks()
    names, key = paths.dictionary.to_pylist(), paths.indices.to_numpy()
    steps = points["step"].combine_chunks().cast(pa.decimal128(38, 6)).fill_null(0)
    # A decimal is a number of 128 bits, of which a step needs the lower half.
    exact = np.frombuffer(steps.buffers()[1], np.int64)[2 * steps.offset : 2 * (steps.offset + len(steps)) : 2]
    multiplier = next(it for it in (10**place for place in range(7)) if not (exact % (_MICROS // it)).any())
    step = exact // (_MICROS // multiplier)
    at = points["timestamp"].combine_chunks().cast(pa.timestamp("us", "UTC")).cast(pa.int64()).fill_null(0).to_numpy()
    value = points["float_value"].to_numpy()
    order = np.argsort(key, kind="stable")
    edges = np.cumsum(np.bincount(key, minlength=len(names)))[:-1]
    split = [np.split(column[order], edges) for column in (step, at, value)]
    return dict(zip(names, zip(*split, strict=True), strict=True)), multiplier


def _others(table: pa.Table) -> list[_Attribute]:
    """Whatever is no series of numbers."""
    import pyarrow.compute as pc

    rows = table.filter(pc.not_equal(table["attribute_type"], "float_series")).to_pylist()
    found = []
    for row in rows:
        kind = row["attribute_type"]
        column = _VALUES.get(kind) or {"string_series": "string_value", "histogram_series": "histogram_value"}.get(kind)
        value = row.get(column or "file_value")
        step = row.get("step")
        if value is not None:
            known = None if step is None else float(step)
            found.append(_Attribute(row["attribute_path"], kind, value, known, row.get("timestamp")))
    return found


def _written(attributes: Sequence[_Attribute]) -> Iterator[ForeignFile]:
    """Series of texts and histograms as files with a line of JSON for each value."""
    found: dict[tuple[str, str], list[bytes]] = defaultdict(list)
    for it in attributes:
        if it.kind in ("string_series", "histogram_series"):
            line = {"step": it.step, "at": it.at, "value": it.value}
            found[it.path, it.kind.removesuffix("_series")].append(msgspec.json.encode(line))
    for (path, kind), lines in found.items():
        yield ForeignFile(f"{path}.{kind}s.jsonl", b"\n".join(lines) + b"\n")


def _called(attribute: _Attribute, suffix: str) -> str:
    path = PurePosixPath(attribute.path)
    if attribute.kind == "file_series":
        step = attribute.step or 0.0
        return f"{path}/step_{int(step) if step == int(step) else step}{suffix}"
    return str(path) if path.suffix == suffix else f"{path}{suffix}"


def _status(values: Mapping[str, Any]) -> RunStatus:
    if values.get("sys/failed"):
        return "failed"
    return "running" if str(values.get("sys/state", "")).lower() in ("running", "active") else "finished"


def _ended(values: Mapping[str, Any], series: Mapping[str, Columns]) -> datetime | None:
    """When a run ended: with its last point, or where it has none when it was changed last."""
    if _status(values) == "running":
        return None
    last = max((int(at.max()) for _, at, _ in series.values()), default=0)
    known = values.get("sys/creation_time") or EPOCH
    return from_micros(last) if last > micros(known) else values.get("sys/modification_time") or known


def _is_gone(values: Mapping[str, Any]) -> bool:
    return bool(values.get("sys/trashed") or values.get("sys/archived"))


def _text(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _set(names: Sequence[str]) -> pa.Array:
    import pyarrow as pa

    return pa.array(names)
