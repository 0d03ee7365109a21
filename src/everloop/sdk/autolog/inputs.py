"""What a training was handed, as an input of its run: name, shape, columns and a digest, as MLflow describes it."""

from __future__ import annotations

import hashlib
import io
import json
import sys
from typing import TYPE_CHECKING, Any

from everloop.datasets.frames import as_arrow
from everloop.kernel.ids import Urn

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from everloop.sdk.autolog.training import Training

MOST_BYTES = 32 << 20
"""So much of the data goes into its digest (a few hundredths of a second); of more, rows at equal distances do."""


def log_data(training: Training, data: Any, context: str = "train", name: str = "") -> None:
    """Note a frame, a matrix or a mapping of columns as an input of the run."""
    if not training.options.log_datasets:
        return
    description = described(data, name or context)
    if description is None:
        return
    content = {"dataset": description, "tags": [{"key": "mlflow.data.context", "value": context}]}
    run = training.run
    path = f"datasets/{context}-{description['digest']}.json"
    kept = run.keep(path, json.dumps(content, separators=(",", ":")).encode())
    run.use(str(Urn("object", run.place.project, kept.digest)))


def described(data: Any, name: str) -> dict[str, str] | None:
    """A dataset as MLflow's clients tell it; nothing for what is neither a frame nor an array."""
    sample = sampled(data)
    if sample is None:
        return None
    rows, columns, digest = sample
    profile = {"num_rows": rows, "num_columns": len(columns)}
    return {
        "name": name,
        "digest": digest,
        "source_type": "code",
        "source": json.dumps({"script": sys.argv[0]}),
        "schema": json.dumps({"columns": columns}),
        "profile": json.dumps(profile),
    }


def sampled(data: Any) -> tuple[int, list[dict[str, str]], str] | None:
    """Rows, columns with their types, and the digest of a frame or an array."""
    import numpy as np

    if isinstance(data, np.ndarray) and data.dtype.kind != "O":
        return len(data), [{"name": f"x{at}", "type": str(data.dtype)} for at in range(_width(data))], _of_array(data)
    if hasattr(data, "tocsr"):
        matrix = data.tocsr()
        columns = [{"name": f"x{at}", "type": str(matrix.dtype)} for at in range(min(matrix.shape[1], 1_000))]
        return matrix.shape[0], columns, _of_array(matrix.data)
    if hasattr(data, "columns") or hasattr(data, "__arrow_c_stream__"):
        table = as_arrow(_fewer(data))
        columns = [{"name": field.name, "type": str(field.type)} for field in table.schema]
        return len(data), columns, _of_table(table, len(data))
    return None


def _width(data: np.ndarray) -> int:
    return min(data.shape[1], 1_000) if data.ndim > 1 else 1


def _of_array(data: np.ndarray) -> str:
    import numpy as np

    every = -(-data.nbytes // MOST_BYTES) or 1
    digest = hashlib.sha256(f"{data.shape}{data.dtype}".encode())
    digest.update(np.ascontiguousarray(data[::every]).view(np.uint8).data)
    return digest.hexdigest()[:16]


def _of_table(table: pa.Table, rows: int) -> str:
    import pyarrow as pa

    written = io.BytesIO()
    with pa.ipc.new_stream(written, table.schema) as stream:
        stream.write_table(table)
    return hashlib.sha256(f"{rows}".encode() + written.getbuffer()).hexdigest()[:16]


def _fewer(frame: Any) -> Any:
    """Rows of a frame at equal distances, so many as may be read."""
    cells = len(frame) * max(len(frame.columns), 1) if hasattr(frame, "columns") else 0
    every = -(-cells * 8 // MOST_BYTES) or 1
    if every == 1:
        return frame
    return frame.iloc[::every] if hasattr(frame, "iloc") else frame[::every]
