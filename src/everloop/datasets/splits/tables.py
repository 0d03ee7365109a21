"""How splits are kept: what was cut how, into which versions, and the proof."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table

from everloop.catalog.schema import Encoded, UtcTime, metadata
from everloop.datasets.splits.entities import Proof, SplitPart, Strategy

splits = Table(
    "dataset_splits",
    metadata,
    Column("project", String(128), primary_key=True),
    Column("id", String(32), primary_key=True),
    Column("dataset", String(128), nullable=False),
    Column("version", Integer, nullable=False),
    Column("strategy", Encoded(Strategy), nullable=False, info={"digest": False}),
    Column("seed", BigInteger, nullable=False),
    Column("parts", Encoded(tuple[SplitPart, ...]), nullable=False, info={"digest": False}),
    Column("proof", Encoded(Proof), nullable=False, info={"digest": False}),
    Column("notes", Encoded(tuple[str, ...]), nullable=False, info={"digest": False}),
    Column("created", UtcTime, nullable=False),
    Index("ix_dataset_splits_dataset", "project", "dataset", "created"),
)
