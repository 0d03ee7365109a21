"""What predicting many rows is about."""

from __future__ import annotations

from typing import Literal

import msgspec

from everloop.kernel.events import Event
from everloop.kernel.ids import Name

RowPolicy = Literal["fail", "null"]
"""What becomes of rows that the model refuses: all fails and says which, or they get no prediction but a reason."""
Written = Literal["parquet", "csv", "jsonl", "arrow"]
DATASET = "dataset:"
"""What an input or output that is a dataset begins with."""
PREDICTION, VERSION, AT, PROBLEM = "prediction", "model_version", "predicted_at", "problem"


class BatchOptions(msgspec.Struct, frozen=True):
    """How a batch is predicted.

    `columns` are copied beside the predictions, by default all that the model does not take. `at` is the column that
    says when each row asks, for features as known then; without one they are joined as known now. `rows` says what
    becomes of rows that the model refuses.
    """

    columns: tuple[str, ...] | None = None
    at: str = ""
    rows: RowPolicy = "fail"


class InputFile(msgspec.Struct, frozen=True):
    """A file that is read, with what tells if it changes."""

    path: str
    size: int
    changed: int


class Job(msgspec.Struct, frozen=True):
    """What a batch does, fixed when it begins: an interrupted one goes on with exactly this.

    `which` is how the version was asked for (a number, an alias, or "" for the newest). `input` is a URN of a snapshot,
    or what was given as a path; `files` are the files that it came to. `sources` are the versions of the feature
    service's datasets. `at_us` is the time of prediction, in microseconds.
    """

    model: Name
    which: str
    version: int
    input: str
    files: tuple[InputFile, ...]
    options: BatchOptions
    format: Written
    part_rows: int
    sources: dict[str, int]
    at_us: int
    timed: bool = True
    endpoint: str = ""


class PartDone(msgspec.Struct, frozen=True):
    """A part of the output that is written: its rows, those of them that were refused, and what its bytes are."""

    number: int
    file: str
    rows: int
    refused: int
    digest: str


class BatchReport(msgspec.Struct, frozen=True):
    """What a batch came to; `resumed` rows were there from an interrupted run, `refused` ones have no prediction."""

    model: Name
    version: int
    rows: int
    refused: int
    resumed: int
    parts: int
    seconds: float
    out: str


class BatchPredicted(Event, frozen=True, kw_only=True, tag="predictions.batch"):
    """A model's version predicted all rows of an input."""

    input: str
    out: str
    rows: int
    refused: int
