"""What searches give beside runs: pages, and tables of chosen columns."""

from __future__ import annotations

import msgspec

from everloop.kernel.usecase import Json
from everloop.store.entities import Digest
from everloop.tracking.entities import Run


class RunPage(msgspec.Struct, frozen=True):
    """Some of the found runs, how many there are in all, and the cursor of the next page, empty after the last."""

    runs: list[Run]
    total: int
    cursor: str = ""


class RunsTable(msgspec.Struct, frozen=True):
    """Chosen columns of found runs: the names of the columns, and a row of values for each run, None where it has none.

    Times are ISO texts; NaN and infinities stay floats in process, and travel as JSON's null.
    """

    columns: list[str]
    rows: list[list[Json]]
    total: int
    cursor: str = ""


class Exported(msgspec.Struct, frozen=True):
    """A file of runs, by its address in the store; `total` is how many runs were found, of which it has `rows`."""

    digest: Digest
    format: str
    rows: int
    bytes: int
    total: int
