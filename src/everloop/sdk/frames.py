"""Runs as a frame of pandas, Polars or Arrow: `everloop.runs_frame(where="metrics.auc > 0.7")`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, overload

from everloop.kernel.errors import Misconfigured
from everloop.kernel.usecase import Json
from everloop.sdk.platform import Everloop
from everloop.tracking.export import arrow_of
from everloop.tracking.index.entities import RunsTable
from everloop.tracking.index.service import EVERYTHING, table

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

_PAGE = 10_000


@overload
def runs_frame(
    where: str = ...,
    *,
    experiment: str = ...,
    order: str = ...,
    columns: tuple[str, ...] = ...,
    platform: Everloop | None = ...,
    kind: Literal["pandas"] = ...,
) -> pd.DataFrame: ...
@overload
def runs_frame(
    where: str = ...,
    *,
    experiment: str = ...,
    order: str = ...,
    columns: tuple[str, ...] = ...,
    platform: Everloop | None = ...,
    kind: Literal["polars"],
) -> pl.DataFrame: ...
@overload
def runs_frame(
    where: str = ...,
    *,
    experiment: str = ...,
    order: str = ...,
    columns: tuple[str, ...] = ...,
    platform: Everloop | None = ...,
    kind: Literal["arrow"],
) -> pa.Table: ...


def runs_frame(
    where: str = "",
    *,
    experiment: str = "",
    order: str = "",
    columns: tuple[str, ...] = EVERYTHING,
    platform: Everloop | None = None,
    kind: Literal["pandas", "polars", "arrow"] = "pandas",
) -> pd.DataFrame | pl.DataFrame | pa.Table:
    """Chosen columns of every run that a search finds; without a platform, of the active one.

    Times are ISO texts, and what a run does not have is null.

    Raises:
        Misconfigured: the library of the frame is not installed.
    """
    pages: list[RunsTable] = []
    while not pages or pages[-1].cursor:
        pages.append(_page(platform, columns, experiment, where, order, pages[-1].cursor if pages else ""))
    found = arrow_of(_joined(pages))
    try:
        if kind == "pandas":
            return found.to_pandas()
        if kind == "polars":
            import polars as pl

            return pl.DataFrame(found)
    except ModuleNotFoundError as error:
        raise Misconfigured(f"{error.name} is not installed.", hint=f"pip install {error.name}") from None
    return found


def _page(
    platform: Everloop | None, columns: tuple[str, ...], experiment: str, where: str, order: str, after: str
) -> RunsTable:
    if platform is not None:
        found: RunsTable = platform.runs.table(
            columns=columns, experiment=experiment, where=where, order=order, limit=_PAGE, after=after
        )
        return found
    from everloop.catalog.session import active_session

    with active_session().begin(write=False) as unit:
        return table(unit, columns, experiment, where, order, _PAGE, after)


def _joined(pages: list[RunsTable]) -> RunsTable:
    """Pages as one table: of a family of columns each page has those that its runs have."""
    if len(pages) == 1:
        return pages[0]
    columns = list(dict.fromkeys(name for page in pages for name in page.columns))
    rows = [[given.get(name) for name in columns] for given in _rows(pages)]
    return RunsTable(columns, rows, pages[0].total)


def _rows(pages: list[RunsTable]) -> list[dict[str, Json]]:
    return [dict(zip(page.columns, row, strict=True)) for page in pages for row in page.rows]
