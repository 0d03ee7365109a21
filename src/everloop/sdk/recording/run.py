"""A run that is being recorded in this process: what `with everloop.run() as run:` gives."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from everloop.kernel.clock import from_micros, ticker
from everloop.kernel.errors import Conflict, Refused
from everloop.sdk.autolog.gradients import Watched
from everloop.sdk.recording import checkpoints, show
from everloop.sdk.recording.capture import Capture
from everloop.sdk.recording.checkpoints import Checkpoint
from everloop.sdk.recording.columns import Point, number_of
from everloop.sdk.recording.console import Console
from everloop.sdk.recording.files import Files
from everloop.sdk.recording.inputs import urn_of
from everloop.sdk.recording.places import Place
from everloop.sdk.recording.shipper import Shipper
from everloop.sdk.recording.spool import Spool
from everloop.sdk.recording.system import Sampler
from everloop.sdk.recording.warn import Warner
from everloop.sdk.recording.writer import Writer
from everloop.tracking import active
from everloop.tracking.entities import Artifact, RunStatus
from everloop.tracking.journals import locks
from everloop.tracking.journals.records import Begun, Ended, Kept, Noted
from everloop.tracking.journals.shipment import SHIPPING, SPOOL
from everloop.tracking.words import check_key, check_text

if TYPE_CHECKING:
    import numpy as np

    from everloop.datasets.entities import Snapshot
    from everloop.datasets.frames import Frame
    from everloop.features.entities import PinnedFeatures
    from everloop.registry.entities import ModelVersion

_SECONDS_TO_CAPTURE = 20.0


class Run(Files):
    """A run of this process, which everything may log to from any thread.

    Nothing waits for a disk or a server, except `flush`, `sync` and `finish`, and copying the files that are logged.
    """

    log_metric: Callable[..., None]
    """`log_metric(key, value, step=None)`: one value of a metric, for a third of a microsecond. Steps count up."""

    def __init__(self, id: str, place: Place, name: str = "", outer: active.Recorder | None = None) -> None:
        self.id = id
        self.name = name or id[-8:]
        self.experiment = ""
        self.place = place
        self.outer = outer
        self.folder = place.journals / id
        self._warn = Warner()
        self._writer = Writer(self.folder, self._warn)
        self._spool = Spool(self.folder / SPOOL)
        self._seconds = ticker(place.clock)
        self._shipper: Shipper | None = None
        self._is_owner = False
        self._capture: Capture | None = None
        self._lock = threading.Lock()
        self._parameters: dict[str, str] = {}
        self._files: dict[str, Artifact] = {}
        self._ended = False
        values = place.settings.values
        self._console = Console(self._writer.printed.append, values.console, self._is_here)
        self._sampler = Sampler(self._log_sample, values.system_metrics_seconds)
        self.log_metric = _logger(self._writer.pending.append, self._seconds)

    def begin(self, begun: Begun) -> None:
        """Begin to record, and to ship unless that is done later.

        Raises:
            Conflict: another process records this run.
        """
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not locks.hold(self.folder / SHIPPING):
            raise Conflict(f"Run {self.id} is being recorded by another process.", hint="Join it: EVERLOOP_RUN_ID.")
        self._is_owner = True
        self.experiment = begun.experiment
        self._writer.write(begun)
        self._writer.start()
        if not begun.resumed:
            outer = self.outer._capture if isinstance(self.outer, Run) else None
            self._capture = Capture(self._writer, self._spool, self._warn, outer)
            self._capture.start()
        if self.place.open is not None:
            self._shipper = Shipper(self.folder, self.place.open, self._warn)
            if begun.resumed:
                self._go_on(self._shipper)
            self._shipper.start()
        self._console.start()
        self._sampler.start()
        active.opened(self)

    def join(self) -> None:
        """Log to a run that another process began: its journals are shipped by that one, if it is on this machine."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._writer.start()
        if self.place.open is not None and locks.hold(self.folder / SHIPPING):
            self._shipper = Shipper(self.folder, self.place.open, self._warn)
            self._shipper.start()
        active.opened(self)

    def log_metrics(self, values: Mapping[str, float], step: int | None = None) -> None:
        """Log one value of each of several metrics."""
        for key, value in values.items():
            self.log_metric(key, value, step)

    def log_parameter(self, key: str, value: object) -> None:
        """Log a parameter, as text.

        Raises:
            Conflict: it was logged with another value.
        """
        self.log_parameters({key: value})

    def log_parameters(self, values: Mapping[str, object]) -> None:
        """Log several parameters, as text: all of them, or none."""
        texts = _texts(values)
        with self._lock:
            for key, text in texts.items():
                before = self._parameters.get(key, text)
                if before != text:
                    raise Conflict(
                        f"Parameter {key!r} is {before!r} and cannot become {text!r}.",
                        hint="Log what changes as a metric or a tag.",
                    )
            fresh = {key: text for key, text in texts.items() if key not in self._parameters}
            self._parameters |= fresh
        if fresh:
            self._write(Noted(parameters=fresh))

    def set_tag(self, key: str, value: object) -> None:
        """Set a tag, as text."""
        self.set_tags({key: value})

    def set_tags(self, values: Mapping[str, object]) -> None:
        """Set several tags, as text."""
        if values:
            self._write(Noted(tags=_texts(values)))

    def use(self, *inputs: Snapshot | PinnedFeatures | str) -> None:
        """Say what the run uses: snapshots, pinned features, or URNs. They become its inputs and its lineage."""
        self._write(Noted(inputs=tuple(urn_of(used, self.place.project) for used in inputs)))

    def note(self, markdown: str) -> None:
        """Describe the run, in Markdown; a later note replaces an earlier one."""
        check_text("note", markdown)
        self._write(Noted(note=markdown))

    def keep(self, path: str, content: bytes | Path) -> Artifact:
        """Add a file: bytes, or the file at a path, copied before this returns.

        Raises:
            Conflict: the run has another file at that path.
        """
        artifact = Artifact(path, *self._spool.keep(content))
        with self._lock:
            if self._files.setdefault(path, artifact) != artifact:
                raise Conflict(f"Run {self.id} has another file {path!r}.", hint="Log it under another path.")
        self._write(Kept(path, artifact.digest, artifact.size))
        return artifact

    def checkpoint(self, step: int, files: str | Path | Mapping[str, str | Path | bytes]) -> None:
        """Keep what it takes to go on from a step: a file, a folder, or files by name. Durable when this returns."""
        for path, content in checkpoints.named(step, files).items():
            self.keep(path, content)
        self.flush()

    def latest_checkpoint(self, folder: str | Path | None = None) -> Checkpoint | None:
        """The newest checkpoint, also of an earlier process of this run, with its files written to a folder."""
        known = dict(self._files)
        if self.sync() and self._shipper is not None:
            there = self._shipper.destination.call("runs.artifacts", {"id": self.id})
            known |= {artifact.path: artifact for artifact in there}
        return checkpoints.restored(known.values(), self._fetch, folder)

    def _fetch(self, artifact: Artifact, path: Path) -> None:
        copy = self._spool.path(artifact.digest)
        if copy is not None:
            shutil.copyfile(copy, path)
        elif self._shipper is not None:
            self._shipper.destination.store.write_to(artifact.digest, path)

    def log_model(
        self,
        model: object,
        name: str = "model",
        *,
        example: Frame | Mapping[str, Sequence[object]] | np.ndarray,
        outputs: str | Sequence[str] = "prediction",
        register: str = "",
    ) -> ModelVersion | None:
        """Keep a library's own model as files of the run, and register it as the next version of a name, if given.

        `example` has the columns that it was trained on, in their order.

        Raises:
            InvalidInput: the model is of no known library, or does not fit the example.
            Refused: it cannot be registered, because the run does not go anywhere now.
        """
        from everloop.sdk.recording.models import registered, saved

        with saved(model, example, outputs) as made:
            for path in sorted(made.folder.rglob("*")):
                if path.is_file():
                    self.keep(f"models/{name}/{path.relative_to(made.folder).as_posix()}", path)
            if not register:
                return None
            if not self.sync() or self._shipper is None:
                raise Refused(f"{register} cannot be registered offline.", hint="Its files are kept with the run.")
            return registered(made, self._shipper.destination, register, self.id)

    def watch(self, module: Any, every: int = 100) -> Watched:
        """Log sizes of a PyTorch module's gradients and parameters and the learning rate, every so many steps.

        Steps are those of its optimizer, whose settings become tags. Distributions are kept as files, after 1, 2, 4, …
        times as many steps. The run's end stops it, or `stop()` of what this gives.
        """
        return Watched(self, module, every)

    def activate(self) -> AbstractContextManager[None]:
        """Make this the active run of a block, such as the body of a thread: `everloop.log_metric` logs to it there."""
        return active.activated(self)

    @property
    def variables(self) -> dict[str, str]:
        """The environment of a worker that is to log to this run: `everloop.run()` joins it there."""
        told = {"EVERLOOP_RUN_ID": self.id, "EVERLOOP_HOME": str(self.place.home.resolve())}
        return told | {"EVERLOOP_PROJECT": self.place.project}

    def flush(self) -> None:
        """Come back when all that was logged before is on this machine's disk."""
        self._writer.flush()

    def sync(self) -> bool:
        """Come back when all that was logged before has arrived; whether it has."""
        self.flush()
        return self._shipper is not None and self._shipper.sync()

    def finish(self, status: RunStatus = "finished") -> None:
        """End the run: with all that it logged where it is recorded, or in its journal for `everloop runs sync`."""
        with self._lock:
            if self._ended:
                return
            self._ended = True
        active.closed(self)
        self._sampler.stop()
        self._console.stop()
        if self._capture is not None:
            self._capture.join(_SECONDS_TO_CAPTURE)
        if self._is_owner:
            self._writer.write(Ended(status, from_micros(round(self._seconds() * 1e6))))
        self._writer.close()
        self.log_metric = self._refuse
        self._leave()

    def _leave(self) -> None:
        if self._writer.lost:
            self._warn("lost", f"Run {self.id} lost {self._writer.lost:,} points: its journal could not be written.")
        if self._shipper is not None and self._is_owner:
            arrived = self._shipper.finish()
        else:
            arrived = self._shipper is None or self._shipper.sync()
            locks.release(self.folder / SHIPPING)
        if not arrived:
            self._warn("kept", f"Run {self.id} is kept in {self.folder}: `everloop runs sync` sends it.")

    def after_fork(self) -> None:
        """Go on in a forked process as a worker: with a journal of its own, which the parent ships."""
        self._lock = threading.Lock()
        self._shipper = self._capture = None
        self._is_owner = False
        self._sampler.stop()
        self._writer.after_fork()

    def _go_on(self, shipper: Shipper) -> None:
        """Count on from the steps that the run has, once what an earlier process left has arrived."""
        from everloop.sdk.recording.resume import next_steps

        self._writer.columns.go_on(next_steps(self.folder, shipper))

    def _write(self, record: Noted | Kept) -> None:
        if self._ended:
            self._refuse()
        self._writer.write(record)

    def _refuse(self, *_: object) -> None:
        raise Refused(f"Run {self.id} has ended.", hint=f"everloop.run(resume={self.id!r}) goes on with it.")

    def _log_sample(self, key: str, value: float) -> None:
        self.log_metric(key, value)

    def _is_here(self) -> bool:
        """Whether the code that asks runs within this run, or within none that it was told of."""
        found: object = active.innermost()
        while found is not None and found is not self:
            found = getattr(found, "outer", None)
            if found is None:
                return False
        return True

    @property
    def has_ended(self) -> bool:
        """Whether nothing can be logged any more, here."""
        return self._ended

    def __reduce__(self) -> tuple[object, ...]:
        """Another process that is handed this run joins it."""
        from everloop.sdk.recording.start import joined

        return joined, (self.id, str(self.place.home), self.place.project)

    def _repr_html_(self) -> str:
        self._writer.flush()
        link = f"{self.place.url.rstrip('/')}/runs/{self.id}" if self.place.url else ""
        status = "ended" if self._ended else "running"
        return show.card(
            self.name, status, link, list(self._parameters.items()), list(self._writer.columns.recent.items())
        )

    def __repr__(self) -> str:
        return f"<run {self.id}{' (ended)' if self._ended else ''}>"


def _logger(append: Callable[[Point], None], seconds: Callable[[], float]) -> Callable[..., None]:
    """What a training loop calls: everything that it needs is at hand, and it waits for nobody."""

    def log_metric(key: str, value: float, step: int | None = None) -> None:
        try:
            append((key, float(value), step, seconds()))
        except (TypeError, ValueError, RuntimeError):
            append((key, number_of(key, value), step, seconds()))

    return log_metric


def _texts(values: Mapping[str, object]) -> dict[str, str]:
    texts = {key: str(value) for key, value in values.items()}
    for key, text in texts.items():
        check_key(key)
        check_text(key, text)
    return texts
