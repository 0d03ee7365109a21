"""What a comparison gives."""

from __future__ import annotations

from typing import Literal

import msgspec

from everloop.kernel.ids import Name

Change = Literal["added", "removed", "changed"]


class Measured(msgspec.Struct, frozen=True):
    """A metric of both versions, of one slice where `column` names one; None where a version was not measured."""

    metric: str
    champion: float | None
    challenger: float | None
    difference: float | None
    column: str = ""
    value: str = ""


class Difference(msgspec.Struct, frozen=True):
    """Something that the versions do not share: an input, the data, the code, a parameter."""

    what: str
    name: str
    champion: str
    challenger: str
    change: Change


class Comparison(msgspec.Struct, frozen=True):
    """Two versions side by side: what they were measured at, and what else is different."""

    model: Name
    champion: int
    challenger: int
    metrics: list[Measured]
    slices: list[Measured]
    differences: list[Difference]
    same_files: bool
