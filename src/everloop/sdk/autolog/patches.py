"""Functions of a library that are replaced, and put back as they were."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Mapping
from copy import copy
from types import FunctionType
from typing import Any

Call = Callable[..., Any]
Around = Callable[[Call, tuple[Any, ...], Mapping[str, Any]], Any]
"""What runs in place of a function: it is handed the function and the arguments, and calls it."""


class Patches:
    """What of one library is replaced. Threads that are inside of a replaced function meanwhile finish it."""

    def __init__(self) -> None:
        self._replaced: list[tuple[Any, str, Any, Any]] = []
        self._lock = threading.Lock()

    def wrap(self, owner: Any, name: str, around: Around) -> None:
        """Run `around` in place of a function of a module or a class, if that has one of its own by this name."""
        original: Any = vars(owner).get(name)
        if isinstance(original, FunctionType):
            if not hasattr(original, "__everloop__"):
                self.replace(owner, name, _wrapped(original, around))
        elif isinstance(inner := getattr(original, "fn", None), FunctionType) and not hasattr(inner, "__everloop__"):
            conditional = copy(original)  # A method of scikit-learn's that is there only if a part of the model has it.
            conditional.fn = _wrapped(inner, around)
            self.replace(owner, name, conditional)

    def replace(self, owner: Any, name: str, by: Any) -> None:
        """Put something else in a place of a module or a class."""
        with self._lock:
            self._replaced.append((owner, name, vars(owner).get(name), by))
            setattr(owner, name, by)

    def undo(self) -> None:
        """Put everything back, except what somebody else has replaced since."""
        with self._lock:
            for owner, name, before, by in reversed(self._replaced):
                if vars(owner).get(name) is not by:
                    continue
                if before is None:
                    delattr(owner, name)
                else:
                    setattr(owner, name, before)
            self._replaced.clear()


def _wrapped(original: Call, around: Around) -> Call:
    """A function in place of another. It holds nothing but that and a function of a module: joblib pickles classes."""

    @functools.wraps(original)
    def recorded(*arguments: Any, **named: Any) -> Any:
        return around(original, arguments, named)

    recorded.__everloop__ = True  # type: ignore[attr-defined]  # Functions take attributes; their type does not say so.
    return recorded
