"""The point-in-time join of 336,776 flights, beside DuckDB: ASOF for what is as of a time, running totals for windows.

DuckDB's windows are differences of running totals, which lose digits; ours are merged from partial states.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from benchmarks import scratch
from benchmarks.harness import Figure, Side, compare
from everloop.cli.demo.journey import LOOP
from everloop.datasets import content
from everloop.features import pointintime
from everloop.features import service as features
from everloop.features.entities import FeatureView, PinnedFeatures
from everloop.features.timeline import Timeline

if TYPE_CHECKING:
    import pyarrow as pa

ROUNDS = 3
PLAIN = ("airport_weather", "plane")


def run() -> Sequence[Figure]:
    """Plain views, views with windows, and everything from unsorted sources."""
    session = scratch.flights().session()
    with session.begin(write=False) as unit:
        pinned = features.pin(unit, LOOP)
    rows = content.read_table(session, content.snapshot_of(session, "schedule"))
    tables = {one.dataset: content.read_table(session, one) for one in pinned.sources.values()} | {"asked": rows}
    plain = [view for view in pinned.service.views if view.name in PLAIN]
    windowed = [view for view in pinned.service.views if view.name not in PLAIN]

    def joined(views: Sequence[FeatureView]) -> pa.Table:
        return pointintime.join(session, rows, "predicted_at", _only(pinned, views))

    def from_scratch() -> pa.Table:
        timelines = [Timeline(view, tables[view.source]) for view in pinned.service.views]
        return pointintime.joined(rows, "predicted_at", timelines)

    duck = _Duck(tables)
    both = partial(duck.join, pinned.service.views)
    return [
        compare(what, Side("join", ours), Side("DuckDB", theirs), unit="ms", rounds=ROUNDS)
        for what, ours, theirs in (
            ("336,776 rows × 2 plain views", partial(joined, plain), partial(duck.join, plain)),
            ("336,776 rows × 3 views of 8 windows", partial(joined, windowed), partial(duck.join, windowed)),
            ("336,776 rows × 5 views", partial(joined, pinned.service.views), both),
            ("the same, the sources sorted anew", from_scratch, both),
        )
    ]


def _only(pinned: PinnedFeatures, views: Sequence[FeatureView]) -> PinnedFeatures:
    return msgspec.structs.replace(pinned, service=msgspec.structs.replace(pinned.service, views=tuple(views)))


class _Duck:
    """The same join as SQL."""

    def __init__(self, tables: dict[str, pa.Table]) -> None:
        import duckdb

        self._connection = duckdb.connect()
        for name, table in tables.items():
            self._connection.register(f"{name}_arrow", table)
            self._connection.execute(f"CREATE TABLE {name} AS SELECT * FROM {name}_arrow")  # noqa: S608
            for gone in ("dep_delay", "arr_delay"):
                if gone in table.column_names and name != "asked":
                    self._connection.execute(f"CREATE OR REPLACE TABLE {name} AS {_totals(name, table)}")

    def join(self, views: Sequence[FeatureView]) -> pa.Table:
        """Every row of `asked` with the features, in any order."""
        joins, columns = [], ["asked.*"]
        for view in views:
            key, alias = view.entity.keys[0], view.name
            if not view.timestamp:
                joins.append(f"LEFT JOIN {view.source} {alias} ON asked.{key} = {alias}.{key}")
                columns += [f"{alias}.{feature.column}" for feature in view.features]
                continue
            spans = sorted({feature.over for feature in view.features if feature.over})
            for number, back in enumerate([view.available_after, *spans]):
                then = f"asked.predicted_at - INTERVAL {back.total_seconds():.0f} SECOND"
                other = f"{alias}_{number}"
                joins.append(
                    f"ASOF LEFT JOIN {view.source} {other}"
                    f" ON asked.{key} = {other}.{key} AND {then} >= {other}.{view.timestamp}"
                )
            for feature in view.features:
                columns.append(
                    _column(alias, key, feature.column, spans.index(feature.over) + 1 if feature.over else 0)
                )
        query = f"SELECT {', '.join(columns)} FROM asked {' '.join(joins)}"  # noqa: S608
        return self._connection.sql(query).to_arrow_table()


def _column(alias: str, key: str, column: str, number: int) -> str:
    """A plain feature, or a window as the difference of two running totals."""
    if not number:
        return f"{alias}_0.{column}"
    rows = f"({alias}_0.{key}_n - coalesce({alias}_{number}.{key}_n, 0))"
    total = f"({alias}_0.{key}_total - coalesce({alias}_{number}.{key}_total, 0))"
    return f"{total} / nullif({rows}, 0)" if column else rows


def _totals(name: str, table: pa.Table) -> str:
    """A source with the running count and total of its delays, by each of its keys."""
    at, delay = ("departed_at", "dep_delay") if "dep_delay" in table.column_names else ("landed_at", "arr_delay")
    windows = ", ".join(
        f"count(*) OVER {key} AS {key}_n, sum({delay}) OVER {key} AS {key}_total" for key in ("origin", "carrier")
    )
    over = ", ".join(
        f"{key} AS (PARTITION BY {key} ORDER BY {at} ROWS UNBOUNDED PRECEDING)" for key in ("origin", "carrier")
    )
    return f"SELECT *, {windows} FROM {name}_arrow WINDOW {over} ORDER BY {at}"  # noqa: S608
