"""What the code of a step calls: the platform that the step runs on is found, not passed along."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from everloop.catalog.session import active_session
from everloop.datasets import content
from everloop.datasets.entities import Snapshot
from everloop.datasets.frames import Frame, as_arrow
from everloop.datasets.quality import gating
from everloop.datasets.splits import service as splits
from everloop.datasets.splits.entities import Strategy
from everloop.features import service as features
from everloop.features.entities import PinnedFeatures
from everloop.kernel.errors import InvalidInput
from everloop.registry import save
from everloop.registry import service as models
from everloop.registry.columns import columns_of, signature_of
from everloop.registry.entities import Model, ModelVersion
from everloop.registry.flavor import Predictor
from everloop.serving.batch import service as predictions
from everloop.serving.batch.entities import BatchOptions

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


def snapshot(dataset: str, version: int = 0) -> Snapshot:
    """A version of a dataset, the newest unless one is named: what a pipeline hands to its steps."""
    return content.snapshot_of(active_session(), dataset, version)


def pin(service: str, version: int = 0) -> PinnedFeatures:
    """A feature service with the newest snapshots that its views read: what a pipeline hands to its steps."""
    with active_session().begin(write=False) as unit:
        return features.pin(unit, service, version)


def read_table(of: Snapshot, columns: Sequence[str] | None = None) -> pa.Table:
    """The rows of a snapshot, verified."""
    return content.read_table(active_session(), of, columns)


def require_checks(of: Snapshot | str) -> None:
    """Go on only if a snapshot (or `flights`, `flights@2`) meets what is expected of its dataset.

    Raises:
        Refused: it does not; with what was found.
    """
    gating.require_checks(active_session(), of)


def write_table(dataset: str, table: Frame, parents: Sequence[Snapshot] = (), note: str = "") -> Snapshot:
    """A new version of a dataset, come from its parents; equal content gives the version that is there."""
    return content.write_table(active_session(), dataset, as_arrow(table), [urn_of(parent) for parent in parents], note)


def split(of: Snapshot, strategy: Strategy, seed: int = 0) -> dict[str, Snapshot]:
    """The parts of a snapshot by name, each a version of a dataset of its own, proved to share nothing."""
    session = active_session()
    made = splits.split_snapshot(session, of, strategy, seed)
    return {part.name: content.resolve(session, part.snapshot) for part in made.parts}


def point_in_time(rows: pa.Table, at: str, features: PinnedFeatures) -> pa.Table:
    """The rows with what was known about each at the time in its column `at`: one row for each, in the same order."""
    from everloop.features import pointintime

    return pointintime.join(active_session(), rows, at, features)


def load_model(model: Model) -> Predictor:
    """A trained model, ready to be asked."""
    return save.load_model(active_session(), model)


def register_model(
    native: object,
    name: str,
    example: Frame | Mapping[str, Sequence[object]] | np.ndarray,
    *,
    outputs: str | Sequence[str] = "prediction",
    flavor: str = save.AUTO,
    alias: str = "",
) -> ModelVersion:
    """Keep what a script has trained as the next version of a name: `everloop serve models:/NAME@ALIAS` serves it.

    `example` has the columns that it was trained on, in their order: all rows, or those that show every category. The
    columns of a matrix `(n, k)` have no names, so they are called as scikit-learn calls them: x0, x1, …

    Raises:
        InvalidInput: the model is of no known library, was never fitted, or was trained on other columns.
    """
    session = active_session()
    trained = save.save_model(native, flavor=flavor, signature=signature_of(named_columns(example), outputs))
    models.compile_first(session, name, trained)
    with session.begin() as unit:
        made = models.register(unit, name, trained)
        if alias:
            models.set_alias(unit, name, alias, made.version)
    return made


def named_columns(example: Frame | Mapping[str, Sequence[object]] | np.ndarray) -> Mapping[str, np.ndarray]:
    """The columns of an example; those of a matrix are called x0, x1, ….

    Raises:
        InvalidInput: it is an array that is no matrix.
    """
    import numpy as np

    if isinstance(example, Mapping):
        return {column: np.asarray(values) for column, values in example.items()}
    if not isinstance(example, np.ndarray):
        return columns_of(as_arrow(example))
    if example.ndim != 2:
        raise InvalidInput(
            f"The example has the shape {list(example.shape)}.", hint="Give a matrix, a row for each row of the data."
        )
    return {f"x{place}": np.ascontiguousarray(values) for place, values in enumerate(example.T)}


def predict(model: str, of: Snapshot, into: str, *, at: str = "", columns: Sequence[str] | None = None) -> Snapshot:
    """The predictions of a registered model (`late`, `late@3`, `late@champion`) for a snapshot, as a version of `into`.

    `at` is the column that says when each row asks, `columns` are copied; see `everloop predict`. Equal input and model
    give the version that is there.
    """
    name, _, which = model.partition("@")
    number = int(which) if which.isdecimal() else 0
    copied = BatchOptions(tuple(columns) if columns is not None else None, at)
    reference = f"{of.dataset}@{of.version}"
    return predictions.batch(active_session(), name, reference, into, number, "" if number else which, copied)


def urn_of(of: Snapshot) -> str:
    """The URN of a snapshot in the active project."""
    return content.urn_of(active_session(), of)
