"""`everloop.run(…)`: begins a run, or joins or goes on with one, for a block or for each call of a function."""

from __future__ import annotations

import atexit
import functools
import inspect
import os
import re
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from random import SystemRandom
from types import TracebackType
from typing import TYPE_CHECKING, ParamSpec, TypeVar, cast

from everloop.app.settings import load
from everloop.kernel.clock import from_micros, ticker
from everloop.kernel.errors import InvalidInput
from everloop.kernel.ids import NAME_PATTERN, new_id
from everloop.sdk.recording.places import active_place, configured
from everloop.sdk.recording.run import Run
from everloop.tracking import active
from everloop.tracking.entities import RunStatus
from everloop.tracking.journals.records import Begun
from everloop.tracking.words import check_key, check_name, check_text

if TYPE_CHECKING:
    from everloop.sdk.platform import Everloop

P = ParamSpec("P")
R = TypeVar("R")
RUN_ID = "EVERLOOP_RUN_ID"
_ID = re.compile(r"[0-9a-f]{32}")
_joined: dict[tuple[int, str], Run] = {}


class Recorded:
    """What `everloop.run(…)` gives: a block or a function that is recorded. It begins when it is entered or called."""

    def __init__(self, begin: Callable[[], Run]) -> None:
        self._begin = begin
        self._entered: list[tuple[Run, AbstractContextManager[None]]] = []

    def start(self) -> Run:
        """Begin without a block, as in a notebook: `finish()` ends the run, or the end of the process."""
        return self._begin()

    def __enter__(self) -> Run:
        run = self._begin()
        activation = run.activate()
        activation.__enter__()
        self._entered.append((run, activation))
        return run

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        run, activation = self._entered.pop()
        activation.__exit__(kind, error, trace)
        if error is not None and status_of(error) == "failed":
            run.set_tag("error", f"{type(error).__name__}: {error}"[:500].replace("\0", ""))
        run.finish(status_of(error))

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Record each call of a function, or of a coroutine function.

        Raises:
            InvalidInput: it is a generator, which nobody may ever run to its end.
        """
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise InvalidInput(f"{function.__name__} is a generator.", hint="Use `with everloop.run():` in its body.")
        begin = self._begin
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def recorded(*arguments: P.args, **named: P.kwargs) -> object:
                with Recorded(begin):
                    return await function(*arguments, **named)

            return cast(Callable[P, R], recorded)

        @functools.wraps(function)
        def called(*arguments: P.args, **named: P.kwargs) -> R:
            with Recorded(begin):
                return function(*arguments, **named)

        return called


def run(
    experiment: str = "default",
    name: str = "",
    parameters: Mapping[str, object] | None = None,
    tags: Mapping[str, object] | None = None,
    *,
    group: str = "",
    parent: str = "",
    resume: str = "",
    platform: Everloop | None = None,
) -> Recorded:
    """Record a training: `with everloop.run() as run:`, or `@everloop.run()` above a function.

    It goes to `platform`, the active one, the server that EVERLOOP_URL names, or the home of the settings, and with
    EVERLOOP_OFFLINE=1 or without that server only to a journal. Inside of another run or a step it has that as its
    parent. `resume` is the id of a run to go on with. Where EVERLOOP_RUN_ID is set, as for workers, it joins that run.
    """
    check_name(name)
    check_name(group, "a group", 128)
    if re.fullmatch(NAME_PATTERN, experiment) is None:
        raise InvalidInput(f"{experiment!r} is no name.", hint="Use letters, digits, dots, dashes and _.")
    if resume and _ID.fullmatch(resume) is None:
        raise InvalidInput(f"{resume[:80]!r} is no run's id.", hint="It has 32 hexadecimal digits.")
    for kind in (parameters, tags):
        for key, value in (kind or {}).items():
            check_key(key)
            check_text(key, str(value))
    told = Begun(resume, "", "" if resume else experiment, name, from_micros(0), parent, group, bool(resume))
    return Recorded(lambda: _begun(told, parameters or {}, tags or {}, platform))


def joined(id: str, home: str, project: str) -> Run:
    """The run of another process, to log to from this one; always the same object here."""
    here = (os.getpid(), id)
    if here not in _joined or _joined[here].has_ended:
        for known in active.open_runs():
            if isinstance(known, Run) and known.id == id:
                return known
        made = Run(id, configured(load({"home": home, "project": project})))
        made.join()
        _joined[here] = made
        _flush_with(made)
    return _joined[here]


def status_of(error: BaseException | None) -> RunStatus:
    """What becomes of a run whose block was left like this."""
    if isinstance(error, KeyboardInterrupt):
        return "killed"
    if error is None or isinstance(error, GeneratorExit) or (isinstance(error, SystemExit) and not error.code):
        return "finished"
    return "failed"


def _begun(told: Begun, parameters: Mapping[str, object], tags: Mapping[str, object], platform: Everloop | None) -> Run:
    place = platform.place() if platform is not None else active_place()
    outer = active.innermost()
    workers_run = os.environ.get(RUN_ID, "")
    if workers_run and not told.resumed and outer is None:
        found = joined(workers_run, str(place.home), place.project)
        _log(found, parameters, tags)
        return found
    started = from_micros(round(ticker(place.clock)() * 1e6))
    id = told.run or new_id(started, SystemRandom())
    parent = told.parent or (outer.id if outer is not None else "")
    begun = Begun(id, place.project, told.experiment, told.name, started, parent, told.group, told.resumed)
    made = Run(id, place, told.name, outer)
    made.begin(begun)
    _log(made, parameters, tags)
    return made


def _log(run: Run, parameters: Mapping[str, object], tags: Mapping[str, object]) -> None:
    run.log_parameters(parameters)
    run.set_tags(tags)


def _after_fork() -> None:
    _joined.clear()
    for run in active.open_runs():
        if isinstance(run, Run):
            run.after_fork()
            _flush_with(run)


def _flush_with(run: Run) -> None:
    """Write what is left when a worker ends: multiprocessing's end without the hooks of other processes."""
    processes = sys.modules.get("multiprocessing.util")
    if processes is not None:
        processes.register_after_fork(run, _flush_at_the_end)
        _flush_at_the_end(run)


def _flush_at_the_end(run: Run) -> None:
    sys.modules["multiprocessing.util"].Finalize(None, run.finish, exitpriority=10)


@atexit.register
def _finish_all() -> None:
    """End the runs that nobody ended: as failed, if the process ends because of an error."""
    status: RunStatus = "failed" if hasattr(sys, "last_value") else "finished"
    for run in reversed(active.open_runs()):
        if isinstance(run, Run):
            run.finish(status)


os.register_at_fork(after_in_child=_after_fork)
