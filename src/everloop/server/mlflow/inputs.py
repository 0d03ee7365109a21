"""What a run used, as MLflow's clients tell it: a dataset is kept as an object that describes it, with lineage."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress

import msgspec

from everloop.catalog.session import Session
from everloop.kernel.ids import parse_urn
from everloop.kernel.usecase import Json
from everloop.server.mlflow import limits
from everloop.server.mlflow.endpoint import Answer, KeyValue
from everloop.store.entities import Digest
from everloop.tracking.index.facts import NO_DESCRIPTION
from everloop.tracking.words import check_text

_LONGEST = {"name": 500, "digest": 36, "source": 65_535, "schema": 1_048_575, "profile": 16_777_215}
_LONGEST_TAG_KEY = 255
_LONGEST_TAG = 500


class Dataset(msgspec.Struct, frozen=True, omit_defaults=True):
    """A dataset that a client knows: what it is called, a digest of the client's, and where it came from."""

    name: str
    digest: str
    source_type: str = ""
    source: str = ""
    schema: str = ""
    profile: str = ""


class DatasetInput(msgspec.Struct, frozen=True):
    """A dataset that a run used, and for what (`mlflow.data.context`)."""

    dataset: Dataset
    tags: list[KeyValue] = []


def fresh(session: Session, before: Iterable[str], given: Iterable[DatasetInput]) -> list[str]:
    """Keep the descriptions of datasets that a run did not name before; the URNs that it names them by.

    A dataset is known by its name and digest: named again it stays as it was, with the tags that it had.

    Raises:
        InvalidInput: one has no name or digest, or something in it is too long.
    """
    known = {(it.dataset.name, it.dataset.digest) for it in described(session, before)}
    urns = []
    for it in given:
        _check(it)
        if (it.dataset.name, it.dataset.digest) not in known:
            known.add((it.dataset.name, it.dataset.digest))
            urns.append(session.urn("object", session.store.put(msgspec.json.encode(it))))
    return urns


def shown(session: Session, urns: Iterable[str]) -> Answer:
    """What a run used, as it travels; what other doors noted is not MLflow's to know."""
    used = list(urns)
    models: list[Json] = [{"model_id": urn.name} for urn in map(parse_urn, used) if urn.kind == "logged_model"]
    return {"dataset_inputs": [msgspec.to_builtins(it) for it in described(session, used)], "model_inputs": models}


def described(session: Session, urns: Iterable[str]) -> Iterator[DatasetInput]:
    """The datasets that clients described, among what a run used."""
    for urn in map(parse_urn, urns):
        if urn.kind == "object":
            with suppress(*NO_DESCRIPTION):
                yield msgspec.json.decode(session.store.get(Digest(urn.name)), type=DatasetInput)


def _check(given: DatasetInput) -> None:
    for name, longest in _LONGEST.items():
        value = getattr(given.dataset, name)
        if name in ("name", "digest"):
            limits.required(f"datasets.{name}", value)
        if len(value) > longest:
            raise limits.too_long(name, longest)
        check_text(name, value)
    for tag in given.tags:
        if len(tag.key) > _LONGEST_TAG_KEY:
            raise limits.too_long("key", _LONGEST_TAG_KEY)
        if len(tag.value) > _LONGEST_TAG:
            raise limits.too_long("value", _LONGEST_TAG)
        check_text(tag.key, f"{tag.key}{tag.value}")
