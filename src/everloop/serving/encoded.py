"""A record batch whose bytes are made already. It stands apart from what makes them, as that needs NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, eq=False, slots=True)
class EncodedBatch:
    """A record batch as the metadata and the body of its message; `at` is when its rows were made (µs)."""

    schema: pa.Schema
    rows: int
    at: int
    metadata: bytes
    body: bytes
