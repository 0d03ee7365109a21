"""One training that is recorded: the run that it goes to, and the guard that keeps our mistakes out of it."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from time import perf_counter
from typing import Protocol, TypeVar
from weakref import WeakSet

from everloop.kernel.errors import Conflict, NotFound
from everloop.sdk.autolog.options import Options
from everloop.sdk.recording.run import Run
from everloop.sdk.recording.start import run
from everloop.sdk.recording.warn import Warner
from everloop.tracking import active

T = TypeVar("T")
_LONGEST = 6_000
_current: ContextVar[Training | Part | None] = ContextVar("everloop_training", default=None)
_trained: WeakSet[Run] = WeakSet()
_lock = threading.Lock()
_warn = Warner()
_libraries: dict[str, Options] = {}


@dataclass(frozen=True)
class Training:
    """The outermost call of a library that trains something here, and the run that it is recorded in."""

    library: str
    run: Run
    options: Options


class Part:
    """A piece of a training, as in a thread that does not know which."""


PART = Part()


class Record(Protocol):
    """What a library has to say of a training."""

    def before(self, training: Training) -> None:
        """Log what is known before it begins."""

    def after(self, training: Training, result: object, seconds: float) -> None:
        """Log what came out of it."""


def turn_on(library: str, options: Options) -> None:
    """Record what a library trains from now on."""
    _libraries[library] = options


def turn_off(library: str) -> None:
    """Record it no more."""
    _libraries.pop(library, None)


def options_of(library: str) -> Options | None:
    """How a library is recorded; none if it is not, as in processes that were told nothing."""
    return _libraries.get(library)


def current() -> Training | Part | None:
    """The training that this code is within, or a part of."""
    return _current.get()


@contextmanager
def within(training: Training | Part | None) -> Iterator[None]:
    """Make what runs in the block a part of a training, which is not recorded by itself; or, of none, free again."""
    token = _current.set(training)
    try:
        yield
    finally:
        _current.reset(token)


class guarded:
    """Let nothing that goes wrong in here reach the training: it is told once."""

    def __init__(self, library: str) -> None:
        self._library = library

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        """End, with a warning for an error of ours."""
        if not isinstance(error, Exception):
            return False
        options = _libraries.get(self._library)
        if options is None or not options.silent:
            told = f"A part of what {self._library} did is not recorded: {error}"
            _warn(f"{self._library}: {type(error).__name__}", told)
        return True


def recorded(library: str, name: str, call: Callable[[], T], record: Record) -> T:
    """What a call gives, recorded as a training, unless it is a part of one that is recorded already."""
    options = options_of(library)
    if options is None or current() is not None:
        return call()
    begun = _begun(library, name, options)
    if begun is None:
        with within(PART):  # What it is made of would not fare better.
            return call()
    return _trained_in(begun[0], Training(library, begun[1], options), call, record)


def _begun(library: str, name: str, options: Options) -> tuple[AbstractContextManager[Run], Run] | None:
    with guarded(library):
        block = _block_for(name, options)
        return block, block.__enter__()
    return None


def _trained_in(block: AbstractContextManager[Run], training: Training, call: Callable[[], T], record: Record) -> T:
    try:
        with within(training):
            with guarded(training.library):
                record.before(training)
            started = perf_counter()
            result = call()
            with guarded(training.library):
                record.after(training, result, perf_counter() - started)
    except BaseException:
        with guarded(training.library):
            block.__exit__(*sys.exc_info())
        raise
    with guarded(training.library):
        block.__exit__(None, None, None)
    return result


def _block_for(name: str, options: Options) -> AbstractContextManager[Run]:
    """The active run for the first training inside of it, and a new one for any other: a child, if one is active."""
    outer = _open_run()
    if outer is not None:
        with _lock:
            is_first = outer not in _trained
            _trained.add(outer)
        if is_first:
            return nullcontext(outer)
    return run((outer.experiment if outer is not None else "") or options.experiment, name)


def _open_run() -> Run | None:
    try:
        found = active.recorder()
    except (NotFound, Conflict):
        return None
    return found if isinstance(found, Run) else None


def log_parameters(run: Run, values: Mapping[str, object], prefix: str = "") -> None:
    """Log parameters as text, the longest cut; those that the run has with another value are left as they were."""
    texts = {f"{prefix}{key}": _short(str(value)) for key, value in values.items()}
    try:
        run.log_parameters(texts)
    except Conflict:
        for key, text in texts.items():
            with suppress(Conflict):
                run.log_parameter(key, text)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
