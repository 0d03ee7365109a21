"""The search, for models and for versions."""

from __future__ import annotations

from everloop.catalog.session import Session
from everloop.kernel.errors import InvalidInput
from everloop.kernel.usecase import usecase
from everloop.registry.search import queries
from everloop.registry.search.entities import ModelPage, VersionPage, Wanted


@usecase("models.search", permission="models:read", route="GET /model-search")
def search(
    session: Session, filter: str = "", order_by: tuple[str, ...] = (), limit: int = 100, cursor: str = ""
) -> ModelPage:
    """The models that meet a filter such as `name LIKE 'late%' AND tags.team = 'core'`, by name.

    `order_by` takes `name` and `last_updated_timestamp`, each with ASC or DESC. The page's cursor gives the next one.
    """
    return queries.found_models(session, _checked(Wanted(filter, order_by, limit, cursor)))


@usecase("models.search_versions", permission="models:read", route="GET /model-version-search")
def search_versions(
    session: Session, filter: str = "", order_by: tuple[str, ...] = (), limit: int = 100, cursor: str = ""
) -> VersionPage:
    """The versions that meet a filter such as `name = 'late' AND version_number > 3`, last changed first.

    Filters take `name`, `version_number`, `run_id`, `source_path` and `tags.<key>`; `order_by` takes `name`,
    `version_number`, `creation_timestamp` and `last_updated_timestamp`.
    """
    return queries.found_versions(session, _checked(Wanted(filter, order_by, limit, cursor)))


def _checked(wanted: Wanted) -> Wanted:
    if not 1 <= wanted.limit <= queries.MOST:
        raise InvalidInput(f"A page has 1 to {queries.MOST:,} entries, not {wanted.limit}.")
    return wanted
