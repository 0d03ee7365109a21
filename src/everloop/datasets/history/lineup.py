"""Three versions of a table lined up by key: one place for each key, the same in all three."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from everloop.datasets.history.rowdiff import shown_values
from everloop.datasets.history.rowkeys import alike, codes, twice
from everloop.kernel.errors import InvalidInput
from everloop.kernel.usecase import Json

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from everloop.datasets.history.rowkeys import Places

    Mask = npt.NDArray[np.bool_]

SIDES = ("the common version", "our side", "their side")


@dataclass(frozen=True)
class Lineup:
    """The base, ours and theirs, with a row for each key of any (all missing where a side `has` it not).

    `order` has our keys in our order, then those that only they have, then the rest.
    """

    tables: Sequence[pa.Table]
    has: Sequence[Mask]
    keys: Sequence[str]
    order: Places
    _seen: dict[tuple[str, int, int], Mask] = field(default_factory=dict)

    def differs(self, column: str, one: int, other: int) -> Mask:
        """For which keys that both sides have they differ in a column; in one that a side lacks they never do."""
        asked = (column, one, other)
        if asked not in self._seen:
            self._seen[asked] = self._differs(column, one, other)
        return self._seen[asked]

    def _differs(self, column: str, one: int, other: int) -> Mask:
        import numpy as np

        both: Mask = self.has[one] & self.has[other]
        if any(column not in self.tables[side].column_names for side in (one, other)):
            return np.zeros_like(both)
        left, right = alike([self.tables[one], self.tables[other]], [column])
        apart: Mask = left[column].ne_missing(right[column]).to_numpy()
        return both & apart

    def changed(self, side: int) -> Mask:
        """Which keys' rows a side changed since the base, in any column that both have."""
        import numpy as np

        masks = [self.differs(name, 0, side) for name in self.tables[0].column_names]
        found: Mask = np.logical_or.reduce(masks)
        return found

    def keys_of(self, numbers: Places) -> list[dict[str, Json]]:
        """The keys at some places, as JSON."""
        found: list[dict[str, Json]] = [{} for _ in numbers]
        for table, has in zip(self.tables, self.has, strict=True):
            columns = {key: shown_values(table[key].take(numbers)) for key in self.keys}
            for row in (row for row, number in enumerate(numbers) if has[number]):
                found[row] = {key: values[row] for key, values in columns.items()}
        return found


def line_up(tables: Sequence[pa.Table], keys: Sequence[str]) -> Lineup:
    """Line up the base, ours and theirs.

    Raises:
        InvalidInput: a key is no column of all three, or two rows of one have one key.
    """
    import numpy as np
    import pyarrow as pa

    for table, side in zip(tables, SIDES, strict=True):
        missing = [key for key in keys if key not in table.column_names]
        if missing:
            raise InvalidInput(f"{', '.join(missing)} cannot be a key: {side} has no such column.")
    numbers = codes(alike(tables, keys), keys)
    size = max((int(found.max(initial=-1)) for found in numbers), default=-1) + 1
    lined, masks = [], []
    for table, found, side in zip(tables, numbers, SIDES, strict=True):
        _refuse_twice(table, found, keys, side)
        place = np.full(size, -1)
        place[found] = np.arange(len(found))
        lined.append(table.take(pa.array(place, mask=place < 0)))
        masks.append(place >= 0)
    order = np.concatenate((numbers[1], numbers[2][~masks[1][numbers[2]]]))
    return Lineup(lined, masks, keys, order)


def _refuse_twice(table: pa.Table, numbers: Places, keys: Sequence[str], side: str) -> None:
    import numpy as np

    doubled = twice(numbers)
    if len(doubled):
        row = int(np.flatnonzero(numbers == doubled[0])[0])
        values = ", ".join(f"{key}={shown_values(table[key].slice(row, 1))[0]!r}" for key in keys)
        raise InvalidInput(
            f"{len(doubled)} keys stand in several rows of {side}, such as {values}.",
            hint="Merge by columns that tell rows apart, or without keys by whole rows.",
        )
