"""Splits and their proofs in words."""

from __future__ import annotations

from everloop.datasets.splits.entities import Comparison, Split, kind_of


def told(split: Split, part: str) -> str:
    """What a part is a part of, and how that was cut."""
    return f"{part} of {split.dataset}@{split.version}, split {split.id} ({kind_of(split.strategy)}, seed {split.seed})"


def proved(split: Split, first: str, second: str) -> str:
    """What was compared between two parts of a split; nothing if they were not."""
    both = {first, second}
    found = [one for one in split.proof.comparisons if {one.first, one.second} == both]
    return "; ".join(_sentence(one) for one in found)


def _sentence(one: Comparison) -> str:
    counts = " and ".join(f"{count:,}" for count in one.counts)
    if one.latest is not None and one.earliest is not None:
        return f"the first known by {one.latest:%Y-%m-%d %H:%M}, the second from {one.earliest:%Y-%m-%d %H:%M} UTC on"
    values = f"values of {', '.join(one.on)}" if one.what == "keys" else "rows"
    return f"{one.shared:,} of {counts} {values} shared"
