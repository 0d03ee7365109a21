"""A model that is a formula, and tables to predict with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from everloop.serving.batch.entities import BatchOptions, BatchReport
from everloop.serving.batch.output import Output
from everloop.serving.batch.predict import Asked, How, predict
from tests.serving.conftest import World


class Batches:
    """A world with the model `delay`, which answers `0.5 + 0.25 * x` and refuses nothing."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world = world
        self.folder = folder
        world.register(constant=0.5, factor=0.25)

    def table(self, rows: int = 10, start: int = 0) -> pa.Table:
        x = np.arange(start, start + rows, dtype=float)
        carrier = [("AA", "UA", None)[n % 3] for n in range(rows)]
        return pa.table({"id": [f"r{n}" for n in range(start, start + rows)], "x": x, "carrier": carrier})

    def file(self, rows: int = 10, name: str = "in.parquet", group: int = 4, start: int = 0) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(self.table(rows, start), path, row_group_size=group)
        return path

    def predict(self, source: object, out: str, **given: object) -> BatchReport:
        how = How(**{name: given.pop(name) for name in ("workers", "resume") if name in given})
        asked = {name: given.pop(name) for name in ("model", "which", "part_rows", "endpoint") if name in given}
        asked = {"model": "delay", "which": "", "part_rows": 4} | asked
        wanted = Asked(input=str(source), options=BatchOptions(**given), **asked)
        session = self.world.platform.session()
        with session.activate():
            return predict(session, wanted, Output(self.folder / out), how)

    def read(self, out: str) -> pa.Table:
        return pq.read_table(self.folder / out)


@pytest.fixture
def batches(world: World, tmp_path: Path) -> Batches:
    return Batches(world, tmp_path)
