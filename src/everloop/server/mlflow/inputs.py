"""What a run used, as MLflow's clients tell it: a dataset is kept as an object that describes it, with lineage."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from everloop.catalog.session import Session
from everloop.kernel.errors import InvalidInput, NotFound
from everloop.kernel.ids import parse_urn
from everloop.kernel.usecase import Json
from everloop.server.mlflow.endpoint import Answer, KeyValue
from everloop.store.entities import Digest

_LONGEST = {"name": 500, "digest": 36, "source": 65_535, "schema": 1_048_575, "profile": 16_777_215}


class Dataset(msgspec.Struct, frozen=True):
    """A dataset that a client knows: what it is called, a digest of the client's, and where it came from."""

    name: str
    digest: str
    source_type: str
    source: str
    schema: str = ""
    profile: str = ""


class DatasetInput(msgspec.Struct, frozen=True):
    """A dataset that a run used, and for what (`mlflow.data.context`)."""

    dataset: Dataset
    tags: list[KeyValue] = []


def keep(session: Session, given: DatasetInput) -> str:
    """Keep the description of a dataset; the URN that a run names it by.

    Raises:
        InvalidInput: it has no name or digest, or something in it is too long.
    """
    for name, longest in _LONGEST.items():
        length = len(getattr(given.dataset, name))
        if length > longest or (name in ("name", "digest") and not length):
            raise InvalidInput(f"The dataset's {name} has {length} characters.", hint=f"1 to {longest} will do.")
    return session.urn("object", session.store.put(msgspec.json.encode(given)))


def shown(session: Session, urns: Iterable[str]) -> Answer:
    """What a run used, as it travels; what other doors noted is not MLflow's to know."""
    datasets: list[Json] = []
    models: list[Json] = []
    for urn in map(parse_urn, urns):
        if urn.kind == "logged_model":
            models.append({"model_id": urn.name})
        elif urn.kind == "object":
            datasets += _described(session, Digest(urn.name))
    return {"dataset_inputs": datasets, "model_inputs": models}


def _described(session: Session, digest: Digest) -> list[Json]:
    try:
        given = msgspec.json.decode(session.store.get(digest), type=DatasetInput)
    except (NotFound, InvalidInput, msgspec.DecodeError):
        return []  # An object that another door named, and that describes no dataset.
    return [msgspec.to_builtins(given)]
