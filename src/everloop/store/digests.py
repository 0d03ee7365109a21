"""Sets of addresses in 32 bytes each: a million in 32 MB, as sorted arrays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

Raws = npt.NDArray[np.bytes_]
"""Digests of 32 bytes each, in an array of type S32."""
WIDTH = 32
TYPE = f"S{WIDTH}"


class Digests:
    """A set of digests that does not change; combining two costs what sorting both does."""

    def __init__(self, raws: Raws | None = None, *, unique: bool = False) -> None:
        found = np.empty(0, TYPE) if raws is None else raws
        self.raws: Raws = found if unique else np.unique(found)

    @classmethod
    def of(cls, raws: Iterable[bytes]) -> Digests:
        """Those that are given one by one."""
        return cls.packed(b"".join(raws))

    @classmethod
    def packed(cls, data: bytes | bytearray | memoryview) -> Digests:
        """Those that lie back to back in some bytes."""
        return cls(np.frombuffer(data, TYPE) if len(data) else None)

    def __len__(self) -> int:
        return len(self.raws)

    def __bool__(self) -> bool:
        return len(self.raws) > 0

    def __iter__(self) -> Iterator[bytes]:
        """The digests in order; an array of its own would lose the zeros at their ends."""
        for at in range(0, len(self.raws), 4096):
            data = self.raws[at : at + 4096].tobytes()
            yield from (data[start : start + WIDTH] for start in range(0, len(data), WIDTH))

    def __contains__(self, raw: bytes) -> bool:
        return bool(self.holds(np.frombuffer(raw, TYPE))[0])

    def tobytes(self) -> bytes:
        """All, back to back, in order."""
        return self.raws.tobytes()

    def holds(self, raws: Raws) -> npt.NDArray[np.bool_]:
        """For each of some digests, whether it is among these."""
        if not len(self.raws):
            return np.zeros(len(raws), bool)
        at = np.searchsorted(self.raws, raws)
        at[at == len(self.raws)] = 0
        return np.asarray(self.raws[at] == raws)

    def __or__(self, other: Digests) -> Digests:
        if not other or not self:
            return self or other
        return Digests(np.concatenate((self.raws, other.raws)))

    def __and__(self, other: Digests) -> Digests:
        return Digests(self.raws[other.holds(self.raws)], unique=True)

    def __sub__(self, other: Digests) -> Digests:
        return Digests(self.raws[~other.holds(self.raws)], unique=True)
