"""Bringing runs over: a first look at what there is, batches of what is new, and a second look at what came.

A run is written whole, in one transaction, with a mark of the state that it had. So an import that is interrupted goes
on where it was, and one that is repeated takes only what is new.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec
from blake3 import blake3
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from everloop.catalog.session import Session
from everloop.kernel.errors import Conflict, EverloopError, InvalidInput, NotFound, Unavailable
from everloop.kernel.progress import SILENT, Progress
from everloop.store.entities import Digest
from everloop.tracking import runs
from everloop.tracking.documents import latest_in, texts_in
from everloop.tracking.entities import Artifact
from everloop.tracking.imports import experiments
from everloop.tracking.imports.entities import ForeignFile, ForeignRun, Found, Report, Seen, Source, Untaken
from everloop.tracking.imports.series import same
from everloop.tracking.imports.writing import Batch, Ready
from everloop.tracking.paths import checked
from everloop.tracking.series.sealing import ordered
from everloop.tracking.series.stored import Stored
from everloop.tracking.tables import run_writers
from everloop.tracking.words import LONGEST_NAME, check_key, check_text

if TYPE_CHECKING:
    from everloop.store.bulk import Bulk

SAMPLE = 20
"""So many runs are read again at the end and compared."""
_MOST_RUNS, _MOST_POINTS = 256, 1 << 20
"""What a transaction takes at most: one lasts about a second then, and holds up other writers no longer."""
_LONGEST_USER = 128


class Importing:
    """One import: from a source, into a session's project."""

    def __init__(self, session: Session, source: Source, progress: Progress = SILENT) -> None:
        self._session = session
        self._source = source
        self._progress = progress
        self._writer = f"import:{blake3(source.identity.encode()).hexdigest()[:32]}"
        self._untaken: list[Untaken] = []
        self._taken = _Taken()

    def run(self, *, dry_run: bool = False) -> Report:
        """Bring what is not here yet, or in a dry run only count it.

        Raises:
            EverloopError: the source cannot be read any more, or the platform cannot be written.
        """
        try:
            return self._run(dry_run=dry_run)
        except DBAPIError as error:  # Those of our own database are told by the session.
            raise Unavailable(
                f"{self._source.identity} cannot be read any more ({error.orig}).", hint="What came stays: try again."
            ) from error

    def _run(self, *, dry_run: bool) -> Report:
        groups = self._source.experiments()
        seen = self._source.survey()
        marks = self._marks()
        fresh = [id for id, it in seen.items() if marks.get(id) != it.mark]
        added = [id for id in fresh if id not in marks]
        if dry_run:
            counts = self._counted(seen, fresh)
            return self._report(groups, seen, fresh, len(added), counts, dry_run=True)
        placed = experiments.place(self._session, groups)
        self._bring(fresh, placed)
        checked_runs, wrong = self._check(_spread(fresh or list(seen), SAMPLE))
        made = self._report(groups, seen, fresh, len(added), self._taken)
        return msgspec.structs.replace(made, checked=checked_runs, wrong=tuple(wrong))

    def _counted(self, seen: Mapping[str, Seen], ids: Sequence[str]) -> _Taken:
        """What there is to bring, read whole where a first look does not tell."""
        known = [seen[id] for id in ids]
        counts = _Taken(sum(it.points or 0 for it in known), sum(it.files for it in known if it.points is not None))
        for found in self._source.runs([id for id in ids if seen[id].points is None]):
            counts.points += found.points
            counts.files += len(found.files)
        return counts

    def _marks(self) -> dict[str, int]:
        """The state that each run had when it came, by id."""
        mine = (run_writers.c.project == self._session.project) & (run_writers.c.writer == self._writer)
        with self._session.begin(write=False) as unit:
            return dict(unit.connection.execute(select(run_writers.c.run, run_writers.c.sequence).where(mine)).all())

    def _bring(self, ids: Sequence[str], placed: Mapping[str, str]) -> None:
        done = 0
        for batch in _batches(self._source.runs(ids)):
            with self._session.store.bulk() as bulk:
                ready = [self._ready(found, placed[found.run.experiment], bulk) for found in batch]
            with self._session.begin() as unit:
                Batch(unit, self._writer, self._source.identity).write(ready)
            done += len(batch)
            self._taken.points += sum(found.points for found in batch)
            self._taken.files += sum(len(one.files) for one in ready)
            self._progress.advance(done, len(ids), "runs", "rows")

    def _ready(self, found: Found, experiment: str, bulk: Bulk) -> Ready:
        """A run of which nothing is left that cannot be kept, with its files in the store."""
        run = found.run
        series = {key: columns for key, columns in found.series.items() if self._is_key(run.id, "metric", key)}
        found = Found(self._cleaned(run), found.mark, series, found.files, found.models, found.outputs)
        session = self._session
        inputs = [session.urn("object", bulk.put(document)) for document in run.inputs]
        inputs += [session.urn("logged_model", id) for id in run.used]
        models = {model.id: self._stored(model.id, model.files, bulk) for model in found.models}
        return Ready(found, experiment, self._stored(run.id, found.files, bulk), tuple(inputs), models)

    def _cleaned(self, run: ForeignRun) -> ForeignRun:
        return msgspec.structs.replace(
            run,
            name=experiments.shown(run.name)[:LONGEST_NAME] or run.id[-8:],
            user=experiments.shown(run.user)[:_LONGEST_USER],
            group=experiments.shown(run.group)[:_LONGEST_USER],
            parameters=self._texts(run.id, "parameter", run.parameters),
            tags=self._texts(run.id, "tag", run.tags),
        )

    def _texts(self, run: str, kind: str, given: Mapping[str, str]) -> dict[str, str]:
        taken = {}
        for key, text in given.items():
            if self._is_key(run, kind, key):
                try:
                    check_text(key, text)
                    taken[key] = text
                except InvalidInput as error:
                    self._untaken.append(Untaken(run, f"{kind} {key}", error.message))
        return taken

    def _is_key(self, run: str, kind: str, key: str) -> bool:
        try:
            check_key(key)
        except InvalidInput as error:
            self._untaken.append(Untaken(run, f"{kind} {key[:80]}", error.message))
            return False
        return True

    def _stored(self, of: str, files: Iterable[ForeignFile], bulk: Bulk) -> list[Artifact]:
        """The files that could be read, in the store; one where a folder is, or the other way round, is left out."""
        taken: dict[str, Artifact] = {}
        folders: set[str] = set()
        for file in files:
            try:
                path = checked(file.path)
                above = [path[:at] for at, mark in enumerate(path) if mark == "/"]
                if path in folders or any(it in taken for it in above):
                    raise Conflict("There are a file and a folder of that name.")
                size = len(file.content) if isinstance(file.content, bytes) else file.content.stat().st_size
                digest = bulk.put(file.content) if isinstance(file.content, bytes) else bulk.put_file(file.content)
            except (InvalidInput, NotFound, Conflict, OSError) as error:
                self._untaken.append(Untaken(of, f"file {file.path[:200]}", _told(error)))
                continue
            folders.update(above)
            taken[path] = Artifact(path, Digest(digest), size)
        return list(taken.values())

    def _check(self, ids: Sequence[str]) -> tuple[int, list[str]]:
        """Read some runs again, and compare them with what is here; what differs."""
        count, wrong = 0, []
        for found in self._source.runs(ids):
            count += 1
            with self._session.begin(write=False) as unit:
                wrong += [f"{found.run.id}: {what}" for what in _differences(unit, found)]
        return count, wrong

    def _report(
        self,
        groups: Sequence[object],
        seen: Mapping[str, Seen],
        fresh: Sequence[str],
        added: int,
        counts: _Taken,
        *,
        dry_run: bool = False,
    ) -> Report:
        untaken = tuple(dict.fromkeys([*self._source.untaken, *self._untaken]))
        here = len(seen) - len(fresh)
        changed = len(fresh) - added
        told = (self._source.identity, dry_run, len(groups), len(seen), here, added, changed)
        return Report(*told, counts.points, counts.files, untaken=untaken)


class _Taken(msgspec.Struct):
    points: int = 0
    files: int = 0


def mark_of(*parts: object) -> int:
    """A number for the state of a run, from whatever it depends on."""
    digest = blake3(msgspec.json.encode(parts, enc_hook=str)).digest(8)
    return (int.from_bytes(digest, "big") >> 1) | 1


def _batches(found: Iterator[Found]) -> Iterator[list[Found]]:
    batch: list[Found] = []
    points = 0
    for one in found:
        batch.append(one)
        points += one.points
        if len(batch) >= _MOST_RUNS or points >= _MOST_POINTS:
            yield batch
            batch, points = [], 0
    if batch:
        yield batch


def _spread(ids: Sequence[str], most: int) -> list[str]:
    """Some ids, evenly from the first to the last."""
    if len(ids) <= most:
        return list(ids)
    return [ids[number * (len(ids) - 1) // (most - 1)] for number in range(most)]


def _differences(session: Session, found: Found) -> Iterator[str]:
    row = runs.first(session, found.run.id)
    if row is None:
        yield "it is not here"
        return
    texts, latest = texts_in(row.texts), latest_in(row.latest)
    for kind, theirs, ours in (
        ("parameter", found.run.parameters, texts.parameters),
        ("tag", found.run.tags, texts.tags),
    ):
        yield from (f"{kind} {key}" for key, text in theirs.items() if key in ours and ours[key] != text)
    stored = Stored(session, row.id)
    for key, columns in found.series.items():
        if key in latest and latest[key].points == len(columns[0]):
            if not same(ordered(columns), stored.everything(key)):
                yield f"metric {key}"
        elif key in latest and latest[key].points < len(columns[0]):
            yield f"metric {key}: {latest[key].points} of {len(columns[0])} points"


def _told(error: Exception) -> str:
    return error.message if isinstance(error, EverloopError) else str(error)
