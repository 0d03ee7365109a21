"""Models that a run made: their files, and their registration where the run goes."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from everloop.app import backends
from everloop.registry.columns import signature_of
from everloop.registry.entities import Model, ModelVersion, Signature
from everloop.registry.save import flavor_of
from everloop.sdk.active import named_columns
from everloop.tracking.journals.destination import Destination

if TYPE_CHECKING:
    import numpy as np

    from everloop.datasets.frames import Frame


class Saved(NamedTuple):
    """A model as files in a folder of its own."""

    flavor: str
    folder: Path
    signature: Signature


@contextmanager
def saved(
    model: object, example: Frame | Mapping[str, Sequence[object]] | np.ndarray, outputs: str | Sequence[str]
) -> Iterator[Saved]:
    """Write a model to a folder that is there for the block.

    Raises:
        InvalidInput: it is of no known library, or does not fit the example.
    """
    flavor = flavor_of(model)
    signature = signature_of(named_columns(example), outputs)
    with tempfile.TemporaryDirectory(prefix="everloop-model-") as name:
        backends.load("flavors", flavor)().save(model, Path(name), signature)
        yield Saved(flavor, Path(name), signature)


def registered(made: Saved, destination: Destination, name: str, run: str) -> ModelVersion:
    """Register a saved model as the next version of a name, made by a run."""
    trained = Model(made.flavor, destination.store.put_folder(made.folder), made.signature)
    version: ModelVersion = destination.call("models.register", {"name": name, "trained": trained, "run": run})
    return version
