"""Sources that imports are tried on: a store that MLflow wrote, and exports in the form of neptune-exporter's."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from everloop.app.platform import Platform
from everloop.tracking.imports.bringing import Importing
from everloop.tracking.imports.entities import Report, Source

STORES = Path(__file__).parent / "stores"
AT = datetime(2025, 3, 1, tzinfo=UTC)


@pytest.fixture
def mlflow_store(tmp_path: Path) -> Path:
    """A copy of a store that MLflow 2.9.2 wrote, beside its artifacts."""
    shutil.copytree(STORES / "mlflow-2.9", tmp_path / "store")
    return tmp_path / "store"


@pytest.fixture
def bring(platform: Platform) -> Callable[..., Report]:
    """Imports a source into the platform."""

    def run(source: Source, **options: bool) -> Report:
        return Importing(platform.session(), source).run(**options)

    return run


def exported(
    folder: Path, run: str, rows: Sequence[dict[str, Any]], project: str = "ops/flights", part: int = 0
) -> Path:
    """A part of a run as neptune-exporter writes it; the folder of its project."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    moment = pa.timestamp("ms", tz="UTC")
    schema = pa.schema(
        [(name, pa.string()) for name in ("project_id", "run_id", "attribute_path", "attribute_type")]
        + [("step", pa.decimal128(18, 6)), ("timestamp", moment), ("int_value", pa.int64())]
        + [("float_value", pa.float64()), ("string_value", pa.string()), ("bool_value", pa.bool_())]
        + [("datetime_value", moment), ("string_set_value", pa.list_(pa.string()))]
        + [("file_value", pa.struct([("path", pa.string())]))]
        + [
            (
                "histogram_value",
                pa.struct(
                    [("type", pa.string()), ("edges", pa.list_(pa.float64())), ("values", pa.list_(pa.float64()))]
                ),
            )
        ]
    )
    place = folder / "data" / f"{project.replace('/', '_')}-12345678"
    place.mkdir(parents=True, exist_ok=True)
    filled = [{"project_id": project, "run_id": run} | row for row in rows]
    pq.write_table(pa.Table.from_pylist(filled, schema), place / f"{run}-12345678_part_{part}.parquet")
    return place


def value(path: str, kind: str, given: object) -> dict[str, Any]:
    """A row for an attribute that has one value."""
    return {"attribute_path": path, "attribute_type": kind, f"{kind}_value": given}


def point(path: str, step: str, given: float) -> dict[str, Any]:
    """A row for a point of a series of numbers."""
    row = {"attribute_path": path, "attribute_type": "float_series", "step": Decimal(step)}
    return row | {"timestamp": AT, "float_value": given}
