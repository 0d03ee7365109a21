"""An objective whose best is known: three words, and no more."""

from __future__ import annotations


def distance(words: float, dots: int) -> float:
    """How far a text with so many words and dots is from the best."""
    return (words - 3) ** 2 + dots
