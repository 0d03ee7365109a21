"""The document of a trial's row, and the trial that Optuna makes of a row."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    distribution_to_json,
    json_to_distribution,
)
from optuna.trial import FrozenTrial, TrialState

from everloop.kernel.errors import InvalidInput

SHIFT = 32
"""A trial's id in Optuna is its sweep's number, shifted by this, and its own number."""


class Document(msgspec.Struct, array_like=True):
    """What is kept of a trial besides its state: parameters are (value as Optuna counts it, distribution as JSON)."""

    parameters: dict[str, tuple[float, str]]
    values: tuple[float, ...] | None
    reported: dict[int, float]
    user: dict[str, Any]
    system: dict[str, Any]
    told: int = 0
    """So many of the reported values its run has."""


class TrialRow(msgspec.Struct):
    """A trial as its row holds it."""

    number: int
    changed: int
    state: int
    run: str
    lease: str
    beat: datetime | None
    started: datetime | None
    ended: datetime | None
    document: bytes


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Document).decode
_attributes = msgspec.msgpack.Decoder(dict[str, dict[str, Any]]).decode


def plain(key: str, value: object) -> Any:
    """An attribute as it comes back from the database.

    Raises:
        InvalidInput: it is nothing that JSON knows.
    """
    try:
        return msgspec.msgpack.decode(_encode(value))
    except (TypeError, OverflowError, UnicodeEncodeError, msgspec.DecodeError) as error:
        raise InvalidInput(f"The attribute {key!r} cannot be kept ({error}).", hint="Set what JSON can say.") from None


def attributes_in(document: bytes) -> dict[str, dict[str, Any]]:
    """The attributes of a study: `user` and `system`."""
    return _attributes(document)


def attributes_document(attributes: dict[str, dict[str, Any]]) -> bytes:
    """The attributes of a study as a document."""
    return _encode(attributes)


def document_of(trial: FrozenTrial, told: int) -> bytes:
    """A trial as a document. Costs about 5 µs and as much a parameter."""
    parameters = {
        name: (trial.distributions[name].to_internal_repr(value), _json_of(trial.distributions[name]))
        for name, value in trial.params.items()
    }
    values = None if trial.values is None else tuple(trial.values)
    reported = trial.intermediate_values
    return _encode(Document(parameters, values, reported, trial.user_attrs, trial.system_attrs, told))


def told_in(row: TrialRow) -> int:
    """How many of a trial's reported values its run has."""
    return _decode(row.document).told


def trial_of(sweep: int, row: TrialRow) -> FrozenTrial:
    """The trial that a row holds."""
    kept = _decode(row.document)
    distributions = {name: _distribution(json) for name, (_, json) in kept.parameters.items()}
    return FrozenTrial(
        number=row.number,
        trial_id=(sweep << SHIFT) | row.number,
        state=TrialState(row.state),
        value=None,
        values=None if kept.values is None else list(kept.values),
        datetime_start=_local(row.started),
        datetime_complete=_local(row.ended),
        params={name: distributions[name].to_external_repr(value) for name, (value, _) in kept.parameters.items()},
        distributions=distributions,
        user_attrs=kept.user,
        system_attrs=kept.system,
        intermediate_values=kept.reported,
    )


def utc(at: datetime | None) -> datetime | None:
    """A time of Optuna's, which are local, as we keep it."""
    return None if at is None else at.astimezone(UTC)


def _local(at: datetime | None) -> datetime | None:
    return None if at is None else at.astimezone().replace(tzinfo=None)


def local(at: datetime) -> datetime:
    """A time as Optuna has them: local, without saying so."""
    return at.astimezone().replace(tzinfo=None)


def _json_of(distribution: BaseDistribution) -> str:
    if isinstance(distribution, CategoricalDistribution):  # Equal ones may differ: 1 is True.
        return distribution_to_json(distribution)
    return _json_of_numbers(distribution)


_json_of_numbers = lru_cache(1_024, typed=True)(distribution_to_json)
_distribution = lru_cache(1_024)(json_to_distribution)
