"""Suites of other tools, read as expectations: what is taken, and what could not be, with the reason."""

from __future__ import annotations

from collections.abc import Callable

from everloop.datasets.quality.expectations import Expectation
from everloop.datasets.quality.importers import dbt, great_expectations, odcs, pandera
from everloop.datasets.quality.importers.taken import Taken

READERS: dict[str, Callable[[str, str], Taken]] = {
    "pandera": pandera.read,
    "great_expectations": great_expectations.read,
    "dbt": dbt.read,
    "odcs": odcs.read,
}
"""How each format is read: from the file's text and the dataset's name."""
WRITERS: dict[str, Callable[[str, tuple[Expectation, ...]], str]] = {"great_expectations": great_expectations.write}
"""How a suite is written for another tool: from the dataset's name and what is expected of it."""
