"""What a job comes to: its input, the columns that are read and copied, and the scorer that its parts go through."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

from everloop.catalog.session import Session
from everloop.datasets.content import snapshot_of
from everloop.datasets.formats import format_of
from everloop.features import service as features
from everloop.features.entities import PinnedFeatures, columns_of
from everloop.kernel.errors import InvalidInput, Refused
from everloop.kernel.ids import parse_urn
from everloop.registry import service as models
from everloop.registry.entities import FILES, Field, ModelVersion
from everloop.serving.batch.entities import Job
from everloop.serving.batch.inputs import Files, Input, Table
from everloop.serving.batch.parts import Part

if TYPE_CHECKING:
    import pyarrow as pa

    from everloop.serving.batch.scorer import Answerer, Scorer


class Scoring:
    """A job in this process; its input is what the job says, unless another is given."""

    def __init__(self, session: Session, job: Job, input: Input | None = None) -> None:
        self.session = session
        self.job = job
        with session.begin(write=False) as unit:
            self.version: ModelVersion = models.version(unit, job.model, job.version)
            self.input: Input = input or _input(unit, job, self.version)
        if self.version.trained.flavor == FILES:
            raise Refused(
                f"Version {job.version} of {job.model!r} is files of MLflow's client, of no flavor known here.",
                hint="Register it with save_model.",
            )

    def parts(self) -> Iterator[Part]:
        """The parts of the input, each with all columns that are needed of it."""
        return self.input.parts(tuple(dict.fromkeys((*self._needed, *self._kept))), self.job.part_rows)

    @contextmanager
    def scorer(self) -> Iterator[Scorer]:
        """What the parts go through.

        Raises:
            InvalidInput: columns are missing or of wrong types.
        """
        from everloop.serving.batch.scorer import Scorer

        schema = self.input.schema()
        missing = [name for name in self._needed if name not in schema.names]
        if missing:
            raise InvalidInput(
                f"The input lacks {', '.join(missing)}.", hint=f"It has {', '.join(schema.names) or 'no columns'}."
            )
        unknown = [name for name in self._kept if name not in schema.names]
        if unknown:
            raise InvalidInput(
                f"The input has no column {', '.join(unknown)} to copy.", hint=f"It has {', '.join(schema.names)}."
            )
        options, at = self.job.options, self.job.at_us if self.job.timed else None
        with self._answerer(schema) as answerer:
            yield Scorer(answerer, self._kept, options.rows, at, self._prepare)

    @contextmanager
    def _answerer(self, schema: pa.Schema) -> Iterator[Answerer]:
        from everloop.registry.save import load_model
        from everloop.serving.batch.scorer import ModelAnswerer

        if self.job.endpoint:
            from everloop.serving.batch.logged import EndpointAnswerer

            with EndpointAnswerer.of(self.session, self.job) as endpoint:
                yield endpoint
            return
        trained = self.version.trained
        answerer = ModelAnswerer(
            load_model(self.session, trained), trained.signature.inputs, trained.signature.outputs, self.job.version
        )
        joined = set(self._joined)
        answerer.columns.check(schema, self._is_text, [f for f in trained.signature.inputs if f.name not in joined])
        yield answerer

    @cached_property
    def _inputs(self) -> tuple[str, ...]:
        return tuple(field.name for field in self.version.trained.signature.inputs)

    @cached_property
    def _pinned(self) -> PinnedFeatures | None:
        """The features to join: those of the model's service, unless the input brings them all along."""
        trained = self.version.trained
        if not trained.features or set(self._inputs) <= set(self.input.schema().names):
            return None
        with self.session.begin(write=False) as unit:
            service = features.service(unit, trained.features, trained.features_version)
            views = {view.name: view for view in service.views}
            sources = {
                name: snapshot_of(unit, views[name].source, version) for name, version in self.job.sources.items()
            }
        return PinnedFeatures(service, trained.features_version, sources, self.session.project)

    @cached_property
    def _joined(self) -> tuple[str, ...]:
        if self._pinned is None:
            return ()
        brought = {field.name for field in self._pinned.service.request}
        return tuple(name for name in columns_of(self._pinned.service) if name not in brought)

    @cached_property
    def _needed(self) -> tuple[str, ...]:
        """What is read of the input for the model: its inputs, or what they are joined by."""
        if self.job.endpoint:
            from everloop.serving.batch.logged import asked_of

            return asked_of(self.session, self.job)
        if self._pinned is None:
            return self._inputs
        keys = [key for view in self._pinned.service.views for key in view.entity.keys]
        at = [self.job.options.at] if self.job.options.at else []
        joined = set(self._joined)
        return tuple(dict.fromkeys([*keys, *at, *(name for name in self._inputs if name not in joined)]))

    @cached_property
    def _kept(self) -> tuple[str, ...]:
        chosen = self.job.options.columns
        if chosen is not None:
            return chosen
        names: list[str] = self.input.schema().names
        return tuple(name for name in names if name not in self._inputs)

    @cached_property
    def _is_text(self) -> bool:
        """Whether the format knows nothing but text."""
        return any(format_of(file.path) == "csv" for file in self.job.files)

    @cached_property
    def _prepare(self) -> Callable[[pa.RecordBatch], pa.RecordBatch]:
        """What adds the features to rows; the sources are sorted once, before the first rows come."""
        pinned = self._pinned
        if pinned is None or self.job.endpoint:
            return _as_it_is
        from everloop.features.timeline import timeline
        from everloop.serving.batch.joining import with_features

        timelines = [timeline(self.session, view, pinned.sources[view.name]) for view in pinned.service.views]
        at, now = self.job.options.at, self.job.at_us
        return lambda batch: with_features(batch, timelines, at, now)


def scoring_of(session: Session, job: Job) -> Scoring:
    """A job in this process: its model's version and its input."""
    return Scoring(session, job)


def _as_it_is(batch: pa.RecordBatch) -> pa.RecordBatch:
    return batch


def _input(unit: Session, job: Job, version: ModelVersion) -> Input:
    if not job.files:
        urn = parse_urn(job.input)
        return Table(unit, snapshot_of(unit, urn.name, int(urn.version)))
    kinds = {format_of(file.path) for file in job.files}
    if len(kinds) > 1:
        raise InvalidInput(
            f"{job.input} holds {' and '.join(sorted(kinds))}.", hint="Predict files of one format at a time."
        )
    return Files(job.files, _types(version.trained.signature.inputs))


def _types(inputs: tuple[Field, ...]) -> list[tuple[str, pa.DataType]]:
    """What lines of JSON are read as; numbers as floats, so that a line with 1 is of the same type as one with 1.5."""
    import pyarrow as pa

    kinds = {"string": pa.string(), "bool": pa.bool_(), "int64": pa.int64(), "uint64": pa.uint64()}
    return [(field.name, kinds.get(field.type, pa.float64())) for field in inputs if not field.shape]
