"""The port to whatever executes steps, and how a step is executed wherever that is."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from everloop.catalog.session import Session
from everloop.datasets.entities import Snapshot
from everloop.datasets.reads import watching
from everloop.kernel.errors import Refused
from everloop.pipelines.declare import inside_step
from everloop.pipelines.libraries import is_installed
from everloop.tracking.recording import Recording, collecting


@dataclass(frozen=True)
class StepCall:
    """A step to execute: the function, where others can import it from, and what it is given.

    `allowed` are the addresses and URNs that stand in the arguments: the only snapshots that the step may read; none
    for a step that is not remembered, which may read any.
    """

    name: str
    target: str
    folder: Path
    function: Callable[..., object]
    arguments: Mapping[str, object]
    run: str
    seed: int
    session: Session
    allowed: frozenset[str] | None = None


@dataclass(frozen=True)
class StepOutcome:
    """What came of a step: a value, or what it raised (`error`, with the place in the user's code)."""

    value: object
    seconds: float
    recording: Recording
    made: tuple[Snapshot, ...] = ()
    error: str = ""
    place: str = ""
    hint: str = ""
    raised: BaseException | None = None


class SessionOpener(Protocol):
    """Opens this platform again in another process; `app` provides one that can be pickled."""

    def __call__(self, principal: str, project: str) -> Session:
        """A session that has not begun, on the same home and clock."""
        ...


class Executor(Protocol):
    """Somewhere to execute steps: this process, others, a cluster.

    Contract (`tests/contracts/test_executors.py`): an outcome is the function's value or its error, never an exception;
    inside of the step the session, the run and the seed are active; what it logs comes back in the outcome.
    """

    def submit(self, call: StepCall) -> Future[StepOutcome]:
        """Have a step executed.

        Raises (by the future):
            StepFailed: the process that executed it died.
        """
        ...

    def close(self) -> None:
        """Give back what is held."""
        ...


class ExecutorOpener(Protocol):
    """Opens an executor by its backend's name, beside the one that the settings chose."""

    def __call__(self, name: str, workers: int) -> Executor:
        """An executor with so many workers, which the caller closes.

        Raises:
            Misconfigured: none of that name is installed.
        """
        ...


@dataclass
class Reads:
    """Lets a step read what it was handed and what it made itself, and nothing else: the memo would not know of it."""

    step: str
    allowed: frozenset[str] | None
    project: str
    made: dict[str, Snapshot] = field(default_factory=dict)

    def read(self, snapshot: Snapshot) -> None:
        """Let the step read a snapshot.

        Raises:
            Refused: it is none of those.
        """
        if self.allowed is None:
            return
        urn = f"dataset:{self.project}/{snapshot.dataset}@{snapshot.version}"
        if not {snapshot.digest, urn} & (self.allowed | self.made.keys()):
            raise Refused(
                f"Step {self.step} read {snapshot.dataset}@{snapshot.version}, which is not among its arguments: the "
                "memo would not see when it changes.",
                hint="Look the snapshot up in the pipeline and hand it to the step, or mark it @step(remember=False).",
            )

    def wrote(self, snapshot: Snapshot) -> None:
        """Note that the step made a snapshot."""
        self.made[snapshot.digest] = snapshot


def perform(call: StepCall) -> StepOutcome:
    """Execute a step here, in this thread."""
    reads = Reads(call.name, call.allowed, call.session.project)
    began = time.perf_counter()
    with call.session.activate(), collecting(call.run) as recording, inside_step(call.seed), watching(reads):
        try:
            value = call.function(**call.arguments)
        except Exception as error:  # noqa: BLE001 - the user's code may raise anything; it is told in full
            return _failure(error, time.perf_counter() - began, recording)
        return StepOutcome(value, time.perf_counter() - began, recording, tuple(reads.made.values()))


def _failure(error: Exception, seconds: float, recording: Recording) -> StepOutcome:
    said = f"{type(error).__name__}: {getattr(error, 'message', error)}"
    hint = str(getattr(error, "hint", ""))
    return StepOutcome(None, seconds, recording, (), said, place_of(error), hint, error)


def place_of(error: BaseException) -> str:
    """Where in the user's code an error came from, as `file:line`: the innermost frame that is not a library's."""
    frames = traceback.extract_tb(error.__traceback__)
    mine = [frame for frame in frames if not is_installed(frame.filename)] or list(frames)
    return f"{mine[-1].filename}:{mine[-1].lineno}" if mine else ""
