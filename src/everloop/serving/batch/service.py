"""What one can do with many rows at once: predict a dataset into another."""

from __future__ import annotations

import tempfile
from pathlib import Path

from everloop.catalog.session import Session
from everloop.datasets.entities import Snapshot
from everloop.kernel.errors import InvalidInput
from everloop.kernel.ids import Name
from everloop.kernel.usecase import usecase
from everloop.serving.batch.entities import DATASET, BatchOptions


@usecase("predictions.batch", permission="datasets:write", route="POST /models/{model}/predictions", long=True)
def batch(
    session: Session,
    model: Name,
    dataset: str,
    into: Name,
    version: int = 0,
    alias: str = "",
    options: BatchOptions = BatchOptions(),
) -> Snapshot:
    """Predict every row of a dataset's version (`flights`, `flights@2`) into a version of the dataset `into`.

    The newest version of the model does it unless a version or an alias is named. The result says which: lineage leads
    from it to the model and to the input. Equal input and model give the version that is there already.

    Raises:
        InvalidInput: a column is missing or of the wrong type, or rows are refused; it names them.
    """
    if version and alias:
        raise InvalidInput(f"Both version {version} and alias {alias!r} of {model} were given.", hint="Give one.")
    which = alias or (str(version) if version else "")
    from everloop.serving.batch.predict import Asked, into_dataset

    asked = Asked(model, which, DATASET + dataset, options)
    with tempfile.TemporaryDirectory(prefix="everloop-predict-") as folder:
        return into_dataset(session, asked, into, Path(folder))[0]
