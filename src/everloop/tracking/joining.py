"""Several segments' points as those of one."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from everloop.tracking.entities import Points


def joined(parts: Sequence[Points]) -> Points:
    """The points of several segments, in their order, as columns of one."""
    if len(parts) == 1:
        return parts[0]
    index: dict[str, int] = {}
    keys = [_renumbered(part, index) for part in parts]
    columns = ([part.step for part in parts], [part.at for part in parts], [part.value for part in parts])
    return Points(tuple(index), b"".join(keys), *(b"".join(column) for column in columns))


def _renumbered(part: Points, index: dict[str, int]) -> bytes:
    """The column of keys, by the numbers that they have among those of all segments."""
    known = [index.setdefault(key, len(index)) for key in part.keys]
    if known == list(range(len(known))):
        return part.key
    if len(part) == 1:
        return array("I", [known[int.from_bytes(part.key, "little")]]).tobytes()
    import numpy as np

    renumbered: np.ndarray = np.array(known, "<u4")[np.frombuffer(part.key, "<u4")]
    return renumbered.tobytes()
