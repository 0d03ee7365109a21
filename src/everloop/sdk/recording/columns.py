"""Logged points as columns: counts steps that nobody gave, and sorts out what no platform would take."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence

from everloop.kernel.errors import InvalidInput
from everloop.tracking.entities import Points
from everloop.tracking.words import check_key

_PART = 1 << 16
"""So many points make a segment: that is as many keys as one can name, and a millisecond or ten to pack."""
_RECENT = 240
Point = tuple[str, float, int | None, float]
"""Key, value, step (None: the next of its key), and time in seconds since 1970: what the caller's thread leaves."""


def number_of(key: str, value: object) -> float:
    """A value that `float` refuses as a number: an array or a tensor of one element is one.

    Raises:
        InvalidInput: it is none.
    """
    item = getattr(value, "item", None)
    try:
        return float(item() if callable(item) else value)  # type: ignore[arg-type]  # what float takes is tried
    except (TypeError, ValueError, RuntimeError):
        raise InvalidInput(
            f"The value of metric {key!r} is no number: {type(value).__name__} {str(value)[:80]!r}.",
            hint="Log numbers as metrics, and texts with log_parameter, set_tag or log_text.",
        ) from None


class Columns:
    """Makes columns of what was logged, in the order in which it was."""

    def __init__(self, refuse: Callable[[str, str], None]) -> None:
        self._refuse = refuse
        self._next: dict[str, int] = {}
        self._known: set[str] = set()
        self.recent: dict[str, list[float]] = {}
        """Some values of each key, for a small line of how it went."""

    def go_on(self, steps: dict[str, int]) -> None:
        """Count on from these steps, which are the next of their keys."""
        self._next = steps | self._next

    def of(self, logged: Sequence[Point]) -> Iterator[Points]:
        """The points as segments; one that cannot be kept is left out, and who wants to know is told why."""
        for start in range(0, len(logged), _PART):
            part = logged[start : start + _PART]
            try:
                yield self._columns(part)
            except (TypeError, ValueError, OverflowError, InvalidInput):
                good = [mended for point in part if (mended := self._mended(point)) is not None]
                if good:
                    yield self._columns(good)

    def _columns(self, logged: Sequence[Point]) -> Points:
        index: dict[str, int] = {}
        keys, values, _, times = zip(*logged, strict=True)
        key = array("I", [index.setdefault(name, len(index)) for name in keys])
        for name in index.keys() - self._known:
            check_key(name)
        value = array("d", values)
        at = array("q", [round(time * 1e6) for time in times])
        moved: dict[str, int] = {}
        step = array("q", self._steps(logged, moved))
        self._next |= moved
        self._known |= index.keys()
        for name, last in dict(zip(keys, values, strict=True)).items():
            self._remember(name, last)
        return Points(tuple(index), key.tobytes(), step.tobytes(), at.tobytes(), value.tobytes())

    def _steps(self, logged: Sequence[Point], moved: dict[str, int]) -> Iterator[int]:
        known = self._next
        for key, _, step, _ in logged:
            if step is None:
                step = moved[key] if key in moved else known.get(key, 0)
            moved[key] = step + 1
            yield step

    def _remember(self, key: str, value: float) -> None:
        """Keep a value; when there are many, every second of those before goes."""
        kept = self.recent.setdefault(key, [])
        kept.append(value)
        if len(kept) > _RECENT:
            del kept[:-1:2]

    def _mended(self, point: Point) -> Point | None:
        """The point as it can be kept: a step of 3.0 is 3; nothing where it cannot be."""
        key, value, step, at = point
        try:
            check_key(key)
            step = None if step is None else _whole(key, step)
        except (InvalidInput, TypeError, AttributeError) as error:
            self._refuse(str(key)[:80], str(error))
            return None
        return key, value, step, at


def _whole(key: str, step: float) -> int:
    if step != step // 1 or not -(1 << 63) <= step < 1 << 63:
        raise InvalidInput(f"Metric {key!r} has step {step!r}, which is no 64-bit integer.")
    return int(step)
