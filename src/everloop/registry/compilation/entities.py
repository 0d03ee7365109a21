"""What compilation is about."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from everloop.kernel.events import Event
from everloop.store.entities import Digest

Engine = Literal["native", "trees", "onnx"]
"""What runs a model: its own library, the kernel for trees, or ONNX Runtime."""


class Evidence(msgspec.Struct, frozen=True):
    """What was compared, and what came out.

    `rows` were scored by both, `boundary_rows` of them put on thresholds and beside them; `equal` gave the same to the
    last bit, `difference` is the largest there was. Times are µs of a call, with 1 row and with 64.
    """

    rows: int = 0
    boundary_rows: int = 0
    equal: int = 0
    difference: float = 0.0
    native_us: tuple[float, float] = (0.0, 0.0)
    compiled_us: tuple[float, float] = (0.0, 0.0)


class Compilation(msgspec.Struct, frozen=True):
    """How a model's files are run, and why; `compiled` is the tree of the compiled form, "" where there is none."""

    flavor: str
    digest: Digest
    engine: Engine
    compiled: str
    reason: str
    evidence: Evidence
    at: datetime


class ModelCompiled(Event, frozen=True, kw_only=True, tag="models.compiled"):
    """A model's compiled form was compared with the model.

    It tells what the files alone decide. Which of the two runs depends on times too, which differ from one run of the
    same work to the next, and would make their ledgers differ.
    """

    digest: Digest
    rows: int
    equal: int
    difference: float
