"""A project of a user, small: a pipeline of two steps."""

from __future__ import annotations

from datetime import datetime

import everloop as el


@el.step
def count(text: str) -> int:
    words = len(text.split())
    el.log_metric("words", words)
    return words


@el.step
def fails(text: str) -> int:
    raise ValueError(f"cannot read {text}")


@el.pipeline
def counted(text: str) -> int:
    return count(text)


@el.pipeline
def broken(text: str) -> int:
    return fails(text)


@el.pipeline
def fit(until: datetime) -> int:
    return count(until.isoformat())
