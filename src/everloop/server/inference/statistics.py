"""How often models were asked and how long it took, and how they are configured, as Triton's clients want to know."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from everloop.registry.entities import Field
from everloop.server.inference import oip
from everloop.server.inference.dataplane import DataPlane
from everloop.server.inference.served import Served
from everloop.server.inference.tensors import DATATYPES
from everloop.server.inference.turns import Turns


class Duration(msgspec.Struct, frozen=True):
    """So many times, and nanoseconds in all."""

    count: int = 0
    ns: int = 0


class InferStatistics(msgspec.Struct, frozen=True):
    """What became of requests. What is not told apart here is in `success`."""

    success: Duration = Duration()
    fail: Duration = Duration()
    queue: Duration = Duration()
    compute_input: Duration = Duration()
    compute_infer: Duration = Duration()
    compute_output: Duration = Duration()


class ModelStatistics(msgspec.Struct, frozen=True):
    """The statistics of a version: rows, requests, and what became of them."""

    name: str
    version: str
    inference_count: int
    execution_count: int
    inference_stats: InferStatistics
    batch_stats: tuple[()] = ()


class ConfiguredTensor(msgspec.Struct, frozen=True):
    """An input or an output; the first dimension counts the rows."""

    name: str
    data_type: str
    dims: tuple[int, ...]


class ModelConfig(msgspec.Struct, frozen=True):
    """A model as Triton configures one. Batches are formed whatever their size, so `max_batch_size` says nothing: 0."""

    name: str
    platform: str
    backend: str
    input: tuple[ConfiguredTensor, ...]
    output: tuple[ConfiguredTensor, ...]
    max_batch_size: int = 0


def config_of(one: Served) -> ModelConfig:
    """How a model is configured."""
    return ModelConfig(one.name, oip.PLATFORM, oip.PLATFORM, _configured(one.inputs), _configured(one.outputs))


def _configured(fields: Sequence[Field]) -> tuple[ConfiguredTensor, ...]:
    return tuple(
        ConfiguredTensor(
            field.name, f"TYPE_{DATATYPES[field.type]}".replace("TYPE_BYTES", "TYPE_STRING"), (-1, *field.shape)
        )
        for field in fields
    )


def statistics_of(plane: DataPlane, name: str = "", version: str = "") -> list[ModelStatistics]:
    """The statistics of a version, a model or all that is served.

    Raises:
        NotFound: there is no such model or version.
    """
    if name:
        plane.found(name, version)
    return [
        _statistics(turns)
        for turns in plane.turns
        if name in ("", turns.served.name) and version in ("", *turns.served.versions)
    ]


def _statistics(turns: Turns) -> ModelStatistics:
    tally = turns.tally
    success = Duration(tally.requests, round(tally.seconds * 1e9))
    return ModelStatistics(
        turns.served.name,
        turns.served.versions[0],
        tally.rows,
        tally.requests,
        InferStatistics(success, Duration(tally.failed, round(tally.failed_seconds * 1e9)), compute_infer=success),
    )
