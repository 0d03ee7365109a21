"""What one can do to find runs: search them, page through them, choose columns."""

from __future__ import annotations

from everloop.catalog.session import Session
from everloop.kernel.usecase import usecase
from everloop.tracking import search as language
from everloop.tracking.entities import Run
from everloop.tracking.index import expressions
from everloop.tracking.index.entities import RunPage, RunsTable
from everloop.tracking.runs import assemble

_MOST = 10_000
COLUMNS = ("id", "name", "experiment", "status", "started")
"""What a table of runs shows where no columns are named."""


@usecase("runs.search", permission="tracking:read", route="GET /runs")
def search(
    session: Session, experiment: str = "", where: str = "", order: str = "", limit: int = 100, after: str = ""
) -> list[Run]:
    """The runs that meet a filter such as `metrics.auc > 0.7 and parameters.kind = 'gbm'`, newest first.

    `order` names another order, such as `metrics.auc desc, name`; runs without that value come last. `after` is the
    cursor that `runs.page` or `runs.table` gave.
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


def wanted(
    experiment: str = "", where: str = "", order: str = "", limit: int = 100, after: str = ""
) -> expressions.Search:
    """The search that these words ask for.

    Raises:
        InvalidInput: they are not in the language.
    """
    return expressions.Search(
        experiments=(experiment,) if experiment else (),
        conditions=tuple(language.parse(where)),
        orders=language.parse_orders(order),
        limit=min(limit, _MOST),
        after=after,
    )
