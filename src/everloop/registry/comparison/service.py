"""What one can ask about two versions of a model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from everloop.catalog.session import Session
from everloop.kernel.errors import NotFound
from everloop.kernel.ids import Name
from everloop.kernel.usecase import usecase
from everloop.registry import card, forms, rows
from everloop.registry import service as registry
from everloop.registry.comparison.entities import Comparison, Difference, Measured
from everloop.registry.entities import Field, ModelVersion
from everloop.registry.service import CHAMPION
from everloop.tracking import service as tracking
from everloop.tracking.entities import Run

_DATA = ("training", "holdout", "label", "features", "features_version")


@usecase("models.compare", permission="models:read", route="GET /models/{name}/comparison")
def compare(session: Session, name: Name, challenger: int = 0, champion: int = 0) -> Comparison:
    """Two versions side by side: metrics and slices, signature, data, code and parameters.

    Without numbers the newest version is compared with the one that the alias `champion` names.
    """
    second = registry.version(session, name, challenger)
    alias = rows.alias(session, name, CHAMPION)
    if not champion and alias is None:
        raise NotFound(f"Model {name!r} has no champion to compare with.", hint="Name a version with champion=.")
    first = registry.version(session, name, champion or (alias.version if alias else 0))
    measured = list(_measured(first.trained.metrics, second.trained.metrics))
    return Comparison(
        model=name,
        champion=first.version,
        challenger=second.version,
        metrics=[it for it in measured if not it.column],
        slices=[it for it in measured if it.column],
        differences=[*_of_signature(first, second), *_of_data(first, second), *_of_runs(session, first, second)],
        same_files=first.trained.digest == second.trained.digest,
    )


def _measured(first: Mapping[str, float], second: Mapping[str, float]) -> Iterator[Measured]:
    for key in sorted({*first, *second}):
        metric, column, value = card.slice_of(key)
        one, two = first.get(key), second.get(key)
        difference = None if one is None or two is None else two - one
        yield Measured(metric, one, two, difference, column, value)


def _of_signature(first: ModelVersion, second: ModelVersion) -> Iterator[Difference]:
    for what, one, two in (
        ("input", first.trained.signature.inputs, second.trained.signature.inputs),
        ("output", first.trained.signature.outputs, second.trained.signature.outputs),
    ):
        yield from _different(what, {it.name: _spelled(it) for it in one}, {it.name: _spelled(it) for it in two})


def _of_data(first: ModelVersion, second: ModelVersion) -> Iterator[Difference]:
    one, two = ({key: str(getattr(it.trained, key) or "") for key in _DATA} for it in (first, second))
    yield from _different("data", one, two)
    yield from _different("flavor", {"flavor": first.trained.flavor}, {"flavor": second.trained.flavor})


def _of_runs(session: Session, first: ModelVersion, second: ModelVersion) -> Iterator[Difference]:
    one, two = _run(session, first.run), _run(session, second.run)
    yield from _different("parameter", one.parameters if one else {}, two.parameters if two else {})
    yield from _different("code", _code(one), _code(two))
    yield from _different(
        "input data", dict.fromkeys(one.inputs, "used") if one else {}, dict.fromkeys(two.inputs, "used") if two else {}
    )


def _code(run: Run | None) -> dict[str, str]:
    told = msgspec.to_builtins(run.code) if run else {}
    return {key: str(value) for key, value in told.items()} | ({"environment": run.environment} if run else {})


def _run(session: Session, id: str) -> Run | None:
    """The run of a version, if it is (still) known here."""
    try:
        return tracking.get(session, id) if id else None
    except NotFound:
        return None


def _different(what: str, first: Mapping[str, str], second: Mapping[str, str]) -> Iterator[Difference]:
    for name in sorted({*first, *second}):
        one, two = first.get(name, ""), second.get(name, "")
        if one != two:
            yield Difference(what, name, one, two, "changed" if one and two else "removed" if one else "added")


def _spelled(field: Field) -> str:
    shape = f" {list(field.shape)}" if field.shape else ""
    gaps = ", may be missing" if field.nullable else ""
    categories = f", {len(field.categories)} categories" if field.categories else ""
    return f"{forms.spelled(field)}{shape}{gaps}{categories}"
