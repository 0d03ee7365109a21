"""What is looked for, as SQL over models and versions; values are bound, never spliced."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from sqlalchemy import BigInteger, ColumnElement, RowMapping, Table, and_, case, exists, func, select, type_coerce

from everloop.catalog.like import like
from everloop.catalog.session import Session
from everloop.kernel.errors import InvalidInput
from everloop.registry.entities import ModelVersion, RegisteredModel
from everloop.registry.search import keyset, language
from everloop.registry.search.entities import ModelPage, VersionPage, Wanted
from everloop.registry.search.keyset import Term
from everloop.registry.search.language import Comparison
from everloop.registry.tables import models, tags, versions

PROMPT = "mlflow.prompt.is_prompt"
"""The tag by which MLflow tells prompts, which it keeps among models; they are found only where they are asked for."""
MOST = 200_000
"""So many a page may have."""
T = TypeVar("T", bound=msgspec.Struct)
_TEXT = frozenset(("=", "!=", "LIKE", "ILIKE"))
_NUMBER = frozenset(("=", "!=", "<", "<=", ">", ">="))
_OF_MODELS: Mapping[str, frozenset[str]] = {"name": _TEXT}
_OF_VERSIONS: Mapping[str, frozenset[str]] = {
    "name": _TEXT,
    "version_number": _NUMBER,
    "run_id": _TEXT | {"IN"},
    "source_path": _TEXT,
}
_MODEL_ORDERS = {"name": "name", "timestamp": "updated", "last_updated_timestamp": "updated"}
_VERSION_ORDERS = {
    "name": "name",
    "version_number": "version",
    "creation_timestamp": "created",
    "last_updated_timestamp": "updated",
}
_COMPARED: dict[str, Callable[[Any, Any], ColumnElement[bool]]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_CALLED = case((models.c.title == "", models.c.name), else_=models.c.title)


def found_models(session: Session, wanted: Wanted) -> ModelPage:
    """A page of models, by what they are called unless another order is named.

    Raises:
        InvalidInput: the filter, the order or the cursor is not in the language.
    """
    comparisons = language.parse(wanted.filter, _OF_MODELS)
    orders = _orders(wanted, _MODEL_ORDERS, "Invalid order by key '{}' specified.")
    columns = {"name": _CALLED, "updated": _milliseconds(models)}
    terms = [Term(columns[key], descending, key == "name") for key, descending in orders]
    terms += [] if any(key == "name" for key, _ in orders) else [Term(_CALLED, text=True)]
    query = select(models).where(
        models.c.project == session.project,
        models.c.deleted.is_(None),
        *(_holds(one, {"name": _CALLED}, models.c.name, 0) for one in _without_prompts(comparisons)),
        _prompts(comparisons, models.c.name),
    )
    rows, cursor = keyset.page(session, query, terms, wanted.limit, wanted.cursor)
    return ModelPage([_struct(row, RegisteredModel) for row in rows], cursor)


def found_versions(session: Session, wanted: Wanted) -> VersionPage:
    """A page of versions, those that changed last first unless another order is named.

    Raises:
        InvalidInput: the filter, the order or the cursor is not in the language.
    """
    comparisons = language.parse(wanted.filter, _OF_VERSIONS)
    orders = _orders(wanted, _VERSION_ORDERS, "Invalid attribute key '{}' specified.") or [("updated", True)]
    created = type_coerce(versions.c.created, BigInteger) // 1000
    number = versions.c.version
    columns = {"name": _CALLED, "version": number, "created": created, "updated": _milliseconds(versions)}
    named = {key for key, _ in orders}
    terms = [Term(columns[key], descending, key == "name") for key, descending in orders]
    terms += [Term(columns[key], key == "version", key == "name") for key in ("name", "version") if key not in named]
    compared = {"name": _CALLED, "version_number": number, "run_id": versions.c.run, "source_path": versions.c.source}
    mine = and_(models.c.project == versions.c.project, models.c.name == versions.c.model)
    query = (
        select(versions)
        .join(models, mine)
        .where(
            versions.c.project == session.project,
            *(_holds(one, compared, versions.c.model, number) for one in _without_prompts(comparisons)),
            _prompts(comparisons, versions.c.model),
        )
    )
    rows, cursor = keyset.page(session, query, terms, wanted.limit, wanted.cursor)
    return VersionPage([_struct(row, ModelVersion) for row in rows], cursor)


def _struct(row: RowMapping, kind: type[T]) -> T:
    return msgspec.convert({name: row[name] for name in kind.__struct_fields__}, kind)


def _orders(wanted: Wanted, keys: Mapping[str, str], complaint: str) -> list[tuple[str, bool]]:
    found = [language.parse_order(text, keys, complaint) for text in wanted.order_by]
    if len({key for key, _ in found}) < len(found):
        raise InvalidInput(f"`order_by` contains duplicate fields: {list(wanted.order_by)}")
    return found


def _milliseconds(table: Table) -> ColumnElement[Any]:
    """When a row changed last, as exactly as it is shown: rows of one millisecond are ordered by name."""
    return func.coalesce(type_coerce(table.c.updated, BigInteger), type_coerce(table.c.created, BigInteger)) // 1000


def _holds(
    one: Comparison,
    columns: Mapping[str, ColumnElement[Any]],
    model: ColumnElement[Any],
    version: ColumnElement[Any] | int,
) -> ColumnElement[bool]:
    if not one.tag:
        return _compared(columns[one.key], one)
    mine = and_(tags.c.project == models.c.project, tags.c.model == model, tags.c.version == version)
    return exists().where(mine, tags.c.key == one.tag, _compared(tags.c.value, one)).correlate(models, versions)


def _compared(column: ColumnElement[Any], one: Comparison) -> ColumnElement[bool]:
    if isinstance(one.value, tuple):
        return column.in_(one.value)
    if one.operator in ("LIKE", "ILIKE"):
        return like(column, str(one.value), ignoring_case=one.operator == "ILIKE")
    return _COMPARED[one.operator](column, one.value)


def _wants_prompts(comparisons: Sequence[Comparison]) -> bool:
    asked = {(it.operator, str(it.value).lower()) for it in comparisons if it.tag == PROMPT}
    return bool(asked & {("=", "true"), ("!=", "false")})


def _without_prompts(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """The comparisons that are left, when `_prompts` has answered those about prompts."""
    return [it for it in comparisons if it.tag != PROMPT]


def _prompts(comparisons: Sequence[Comparison], model: ColumnElement[Any]) -> ColumnElement[bool]:
    """That a model is a prompt, or is none: what has no such tag is none."""
    mine = and_(tags.c.project == models.c.project, tags.c.model == model, tags.c.key == PROMPT)
    told = exists().where(mine, tags.c.value == "true").correlate(models, versions)
    return told if _wants_prompts(comparisons) else ~told
