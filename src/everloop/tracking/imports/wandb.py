"""What W&B's client wrote on this machine: the folder `wandb`, with a folder for each time that a run was going.

Runs that were offline, and those that were also sent to W&B, leave the same: a log of all that was told, and files.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from blake3 import blake3

from everloop.kernel.clock import EPOCH
from everloop.kernel.errors import InvalidInput, NotFound
from everloop.tracking.imports import folders
from everloop.tracking.imports.bringing import mark_of
from everloop.tracking.imports.entities import ForeignExperiment, ForeignFile, Found, Seen, Untaken
from everloop.tracking.imports.wandblog import Message, records
from everloop.tracking.imports.wandbruns import RUN, Told

_LOGS = "run-*.wandb"
_FIRST = 100
"""Among so many records of a log at its beginning is the one that names the run."""
_IMPOSSIBLE = (InvalidInput, OSError, ValueError, TypeError, OverflowError, RecursionError)
"""What reading a log ends with that says what none may: numbers beyond 64 bits, a step that is a text."""


class WandbFolder:
    """A folder with logs of runs, at any depth. A run that was resumed has several, which are one run here.

    Files that a run saved or logged as artifacts lie elsewhere: they are taken from below `files` only.
    """

    def __init__(self, folder: Path, files: Path | None = None) -> None:
        if not folder.exists():
            raise NotFound(f"There is no folder {folder}.")
        self._folder = folder
        self._files = files
        self.untaken: list[Untaken] = []
        self._logs: dict[str, list[Path]] = defaultdict(list)
        self._projects: dict[str, str] = {}
        self._seen: dict[str, Seen] = {}
        logs = sorted(folder.rglob(_LOGS)) if folder.is_dir() else [folder]
        for log in logs:
            self._name(log)
        if not self._logs:
            raise InvalidInput(
                f"{folder} holds no runs of W&B's: no file {_LOGS} in it names one.",
                hint="Give the folder `wandb` that its client wrote beside the script.",
            )

    @property
    def identity(self) -> str:
        """The folder."""
        return f"wandb {self._folder.resolve()}"

    def experiments(self) -> list[ForeignExperiment]:
        """One for each project."""
        return [ForeignExperiment(project, project, EPOCH) for project in dict.fromkeys(self._projects.values())]

    def survey(self) -> Mapping[str, Seen]:
        """Every run, in the order in which they began; how many points they have is known when they are read."""
        for id, logs in self._logs.items():
            state = [(log.name, log.stat().st_size) for log in logs]
            files = [folders.state_of(log.parent / "files") for log in logs]
            self._seen[id] = Seen(mark_of(state, files), None)
        return self._seen

    def runs(self, ids: Sequence[str]) -> Iterator[Found]:
        """Some runs, whole."""
        for id in ids:
            try:
                yield self._found(id)
            except _IMPOSSIBLE as error:
                self._tell(id, "run", str(error))

    def _name(self, log: Path) -> None:
        """Find out which run a log is of."""
        try:
            for number, record in enumerate(records(log, lambda why: None)):
                run = Message(record).message(RUN)
                if run is not None:
                    project = run.text(3) or "uncategorized"
                    id = id_of(run.text(2), project, run.text(1))
                    self._logs[id].append(log)
                    self._projects[id] = project
                    return
                if number == _FIRST:
                    break
        except (InvalidInput, OSError) as error:
            self._tell(str(log), "log", str(error))
            return
        self._tell(str(log), "log", "it does not say which run it is of")

    def _found(self, id: str) -> Found:
        told = Told()
        for log in self._logs[id]:
            for record in records(log, partial(self._tell, id, f"part of {log.name}")):
                told.take(Message(record))
        files = {it.path: it for log in self._logs[id] for it in self._kept(id, log.parent / "files")}
        files |= {it.path: it for it in self._logged(id, told)}
        files |= {it.path: it for it in told.files() if it.path not in files}
        run = told.run(id, self._projects[id])
        return Found(run, self._seen[id].mark, told.series(), list(files.values()))

    def _kept(self, id: str, folder: Path) -> Iterator[ForeignFile]:
        """The files of a run's own folder; what it saved from elsewhere is there as a link."""
        yield from folders.below(folder, lambda what, why: self._tell(id, f"file {what}", why), self._files)

    def _logged(self, id: str, told: Told) -> Iterator[ForeignFile]:
        """The files of artifacts that the run logged."""
        for artifact, path, place in told.artifacts:
            found = folders.tail_in(self._files, Path(place).parts, 1) if self._files is not None and place else None
            if found is not None and found.is_file():
                yield ForeignFile(f"artifacts/{artifact}/{path}", found)
            else:
                self._tell(id, f"file {path} of artifact {artifact}", "it is not below the folder of --artifacts")

    def _tell(self, of: str, what: str, why: str) -> None:
        self.untaken.append(Untaken(of, what, why))


def id_of(entity: str, project: str, run: str) -> str:
    """The id that a run has here."""
    return blake3(f"wandb {entity}/{project}/{run}".encode()).hexdigest()[:32]
