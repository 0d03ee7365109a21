"""Declaring pipelines: `@step` and `@pipeline` on plain typed functions.

Called on its own a step just runs. Called by a pipeline that `pipelines.run` runs, it is looked up in the memo first.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, cast, overload

from everloop.kernel.errors import InvalidInput, NotFound

P = ParamSpec("P")
R = TypeVar("R")


class Caller(Protocol):
    """Whoever executes the steps of a running pipeline."""

    def call(self, step: Step[..., object], arguments: Mapping[str, object]) -> object:
        """The step's result for these arguments (by parameter name, defaults filled in)."""
        ...


_caller: ContextVar[Caller | None] = ContextVar("everloop_caller", default=None)
_seed: ContextVar[int | None] = ContextVar("everloop_step_seed", default=None)


class Step(Generic[P, R]):
    """A function whose results are remembered while a pipeline runs. `remember=False` executes it each time."""

    def __init__(self, function: Callable[P, R], remember: bool = True) -> None:
        _check(function, "step")
        self.function = function
        self.remember = remember
        self.name = function.__name__
        functools.update_wrapper(self, function)

    @property
    def target(self) -> str:
        """Where it is: `module:name`."""
        return f"{self.function.__module__}:{self.function.__qualname__}"

    @functools.cached_property
    def signature(self) -> inspect.Signature:
        """The function's signature."""
        return inspect.signature(self.function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """The step's value: remembered or executed in a running pipeline, elsewhere just executed."""
        caller = _caller.get()
        if caller is None:
            return self.function(*args, **kwargs)
        bound = self.signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return cast(R, caller.call(cast("Step[..., object]", self), bound.arguments))

    def __repr__(self) -> str:
        return f"<step {self.target}>"


class Pipeline(Generic[P, R]):
    """A function that calls steps; called on its own it just runs, with nothing remembered or recorded."""

    def __init__(self, function: Callable[P, R]) -> None:
        _check(function, "pipeline")
        self.function = function
        self.name = function.__name__
        functools.update_wrapper(self, function)

    @property
    def target(self) -> str:
        """Where it is: `module:name`."""
        return f"{self.function.__module__}:{self.function.__qualname__}"

    @property
    def parameters(self) -> dict[str, str]:
        """The parameters with their types, as written."""
        found = inspect.signature(self.function).parameters.values()
        return {p.name: _spelled(p.annotation) for p in found}

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """The pipeline's value."""
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<pipeline {self.target}>"


@overload
def step(function: Callable[P, R]) -> Step[P, R]: ...
@overload
def step(*, remember: bool = True) -> Callable[[Callable[P, R]], Step[P, R]]: ...
def step(
    function: Callable[P, R] | None = None, *, remember: bool = True
) -> Step[P, R] | Callable[[Callable[P, R]], Step[P, R]]:
    """Declare a step: a typed function whose result depends on its arguments, its code and nothing else.

    A dataset that it reads must come in as a Snapshot, a time as a parameter, randomness from `step_seed()`.
    """
    return functools.partial(Step, remember=remember) if function is None else Step(function, remember)


def pipeline(function: Callable[P, R]) -> Pipeline[P, R]:
    """Declare a pipeline: a typed function that calls steps."""
    return Pipeline(function)


def step_seed() -> int:
    """The seed of the running step, for every generator it makes: 31 bits, the same whenever the step's memo key is.

    Raises:
        NotFound: outside of a running pipeline.
    """
    seed = _seed.get()
    if seed is None:
        raise NotFound("No step is running here.", hint="Call step_seed() in a step of a running pipeline.")
    return seed


@contextmanager
def calling(caller: Caller) -> Iterator[None]:
    """Have a caller execute the steps that are called in the block."""
    token = _caller.set(caller)
    try:
        yield
    finally:
        _caller.reset(token)


@contextmanager
def inside_step(seed: int) -> Iterator[None]:
    """Be inside a step: steps called from here are plain functions, and part of this one."""
    caller, previous = _caller.set(None), _seed.set(seed)
    try:
        yield
    finally:
        _seed.reset(previous)
        _caller.reset(caller)


def _check(function: Callable[..., Any], kind: str) -> None:
    if not inspect.isfunction(function):
        raise InvalidInput(f"@{kind} goes on a function, not on {function!r}.", hint="Put it directly above a def.")
    lazy = (inspect.iscoroutinefunction, inspect.isasyncgenfunction, inspect.isgeneratorfunction)
    if any(is_lazy(function) for is_lazy in lazy):
        raise InvalidInput(
            f"{function.__qualname__} is async or a generator, and a {kind} gives one value that can be remembered.",
            hint="Make it a plain def that returns; run coroutines inside with asyncio.run.",
        )


def _spelled(annotation: object) -> str:
    """An annotation as it stands in the code; those that are not evaluated are texts already."""
    if annotation is inspect.Parameter.empty:
        return ""
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
