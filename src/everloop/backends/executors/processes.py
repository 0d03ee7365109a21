"""Steps in processes of their own: a crash of native code, a leak or a changed global stays there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

from everloop.catalog.session import Session
from everloop.kernel.errors import InvalidInput, StepFailed
from everloop.pipelines.declare import Step
from everloop.pipelines.executor import SessionOpener, StepCall, StepOutcome, perform
from everloop.pipelines.project import load


@dataclass(frozen=True)
class RemoteCall:
    """A step as it is sent to another process: by name instead of by function, with what opens the platform there."""

    name: str
    target: str
    folder: Path
    arguments: Mapping[str, object]
    run: str
    seed: int
    allowed: frozenset[str] | None
    opener: SessionOpener
    principal: str
    project: str


class ProcessesExecutor:
    """A pool of processes, started by forkserver: forking a process that has threads is never safe.

    A first step costs about a second for the process to start, a further one about a millisecond.
    """

    def __init__(self, workers: int = 0) -> None:
        self._workers = workers or os.cpu_count() or 1
        self._pool: ProcessPoolExecutor | None = None

    def submit(self, call: StepCall) -> Future[StepOutcome]:
        """Send a step to a process; the future has its outcome.

        Raises:
            InvalidInput: the step is no function at the top level of a module.
        """
        remote = remote_call(call)
        done: Future[StepOutcome] = Future()
        self._open().submit(perform_remote, remote).add_done_callback(lambda sent: self._pass_on(sent, done, call))
        return done

    def close(self) -> None:
        """End the processes."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=True, cancel_futures=True)

    def _open(self) -> ProcessPoolExecutor:
        if self._pool is None:
            self._pool = ProcessPoolExecutor(self._workers, mp_context=get_context("forkserver"))
        return self._pool

    def _pass_on(self, sent: Future[StepOutcome], done: Future[StepOutcome], call: StepCall) -> None:
        error = sent.exception()
        if isinstance(error, BrokenProcessPool):
            self._pool = None  # The next step gets a fresh pool.
            error = StepFailed(
                f"The process that executed step {call.name} died.",
                hint="It ran out of memory, or native code crashed.",
            )
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(sent.result())


def remote_call(call: StepCall) -> RemoteCall:
    """A step as it is sent to another process.

    Raises:
        InvalidInput: it is no function at the top level of a module.
    """
    if "<locals>" in call.target or call.target.startswith("__main__:"):
        raise InvalidInput(
            f"Step {call.target} cannot be found by another process.",
            hint="Declare it at the top level of a module, or set executor = 'local'.",
        )
    return RemoteCall(
        name=call.name,
        target=call.target,
        folder=call.folder,
        arguments=call.arguments,
        run=call.run,
        seed=call.seed,
        allowed=call.allowed,
        opener=call.session.ports.get(SessionOpener),
        principal=call.session.principal,
        project=call.session.project,
    )


_sessions: dict[str, Session] = {}
"""The sessions of this process, by how they were opened: a process serves many steps."""


def perform_remote(call: RemoteCall) -> StepOutcome:
    """Execute a step in this process, on a platform that is opened once."""
    key = repr((call.opener, call.principal, call.project))
    if key not in _sessions:
        _sessions[key] = call.opener(call.principal, call.project)
    step: Step[..., object] = load(call.folder, call.target, Step)
    here = StepCall(
        name=call.name,
        target=call.target,
        folder=call.folder,
        function=step.function,
        arguments=call.arguments,
        run=call.run,
        seed=call.seed,
        session=_sessions[key],
        allowed=call.allowed,
    )
    outcome = perform(here)
    return replace(outcome, raised=None)  # Not every exception can be sent; its text and place are.


def open_executor(workers: int = 0) -> ProcessesExecutor:
    """An executor with so many processes, or as many as there are cores."""
    return ProcessesExecutor(workers)
