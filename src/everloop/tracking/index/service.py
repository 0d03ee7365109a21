"""What one can do to find runs: search them, page through them, choose columns, compare, explain, export."""

from __future__ import annotations

import msgspec

from everloop.catalog.session import Session
from everloop.kernel.errors import NotFound
from everloop.kernel.usecase import usecase
from everloop.tracking import comparison
from everloop.tracking import importance as importance_of
from everloop.tracking import search as language
from everloop.tracking.comparison import Comparison
from everloop.tracking.entities import Run
from everloop.tracking.export import Format, exported
from everloop.tracking.importance import Importances
from everloop.tracking.index import expressions
from everloop.tracking.index.entities import Exported, RunPage, RunsTable
from everloop.tracking.index.reading import rows_of
from everloop.tracking.runs import assemble

_MOST = 10_000
COLUMNS = ("id", "name", "experiment", "status", "started")
"""What a table of runs shows where no columns are named."""
EVERYTHING = (*COLUMNS, "ended", "duration", "user", "parameters.*", "metrics.*", "tags.*")
"""What a file of runs has where no columns are named."""


@usecase("runs.search", permission="tracking:read", route="GET /runs")
def search(
    session: Session, experiment: str = "", where: str = "", order: str = "", limit: int = 100, after: str = ""
) -> list[Run]:
    """The runs that meet a filter such as `metrics.auc > 0.7 and parameters.kind = 'gbm'`, newest first.

    `order` names another order, such as `metrics.auc desc, name`; runs without that value come last. `after` is the
    cursor that `runs.page` or `runs.table` gave. Deleted runs are found by `deleted is not null`.
    """
    return page(session, experiment, where, order, limit, after).runs


@usecase("runs.page", permission="tracking:read", route="GET /runs/page")
def page(
    session: Session, experiment: str = "", where: str = "", order: str = "", limit: int = 100, after: str = ""
) -> RunPage:
    """The runs that `runs.search` finds, with the cursor of the next page and how many there are.

    Paging is stable: while others write, no run that they leave alone is shown twice or left out.
    """
    from everloop.tracking.index import searching

    rows, found = searching.found(session, wanted(experiment, where, order, limit, after))
    return RunPage(assemble(rows), found.total, found.cursor)


@usecase("runs.table", permission="tracking:read", route="GET /runs/table")
def table(
    session: Session,
    columns: tuple[str, ...] = (),
    experiment: str = "",
    where: str = "",
    order: str = "",
    limit: int = 100,
    after: str = "",
) -> RunsTable:
    """Columns such as `metrics.auc`, `parameters.depth` or `duration` of the runs that `runs.search` finds.

    `metrics.*`, `parameters.*` and `tags.*` choose every one that the found runs have.
    """
    from everloop.tracking.index import choosing

    return choosing.table(session, wanted(experiment, where, order, limit, after), columns or COLUMNS)


@usecase("runs.compare", permission="tracking:read", route="GET /runs/comparison")
def compare(session: Session, ids: tuple[str, ...], equal: bool = False) -> Comparison:
    """What differs between runs: parameters, metrics, tags, code, packages, environment and the versions of data.

    With `equal` what they have in common is told too.
    """
    rows = {row.id: row for row in rows_of(session, ids)}
    missing = [id for id in ids if id not in rows]
    if missing:
        raise NotFound(f"There is no run {missing[0][:80]!r}.", hint="everloop runs search lists them.")
    return comparison.compare(session, assemble([rows[id] for id in dict.fromkeys(ids)]), equal=equal)


@usecase("runs.importance", permission="tracking:read", route="GET /runs/importance")
def importance(session: Session, metric: str, experiment: str = "", where: str = "") -> Importances:
    """Which parameters explain a metric, over the runs that `runs.search` finds (the newest 20,000)."""
    from everloop.tracking.index import choosing

    search = wanted(experiment, where)
    search = msgspec.structs.replace(search, limit=importance_of.MOST)
    values, parameters = choosing.explaining(session, search, metric)
    return importance_of.importances(metric, values, parameters)


@usecase("runs.export", permission="tracking:read", route="POST /runs/exports")
def export(
    session: Session,
    format: Format = "csv",
    columns: tuple[str, ...] = EVERYTHING,
    experiment: str = "",
    where: str = "",
    order: str = "",
) -> Exported:
    """A file with chosen columns of all runs that `runs.search` finds (up to 50,000); it is kept in the store."""
    from everloop.tracking.index import choosing
    from everloop.tracking.index.searching import MOST

    search = msgspec.structs.replace(wanted(experiment, where, order), limit=MOST)
    found = choosing.table(session, search, columns)
    content = exported(found, format)
    return Exported(session.store.put(content), format, len(found.rows), len(content), found.total)


def wanted(
    experiment: str = "", where: str = "", order: str = "", limit: int = 100, after: str = ""
) -> expressions.Search:
    """The search that these words ask for: of runs that are in sight, unless the filter asks for deleted ones.

    Raises:
        InvalidInput: they are not in the language.
    """
    conditions = tuple(language.parse(where))
    return expressions.Search(
        experiments=(experiment,) if experiment else (),
        conditions=conditions,
        orders=language.parse_orders(order),
        deleted=expressions.Condition("attribute", "deleted", "is not null") in conditions,
        limit=min(limit, _MOST),
        after=after,
    )
