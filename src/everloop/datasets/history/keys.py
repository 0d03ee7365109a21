"""What tells the rows of a dataset apart, if somebody said so."""

from __future__ import annotations

from sqlalchemy import select

from everloop.catalog.session import Session
from everloop.datasets.entities import Snapshot
from everloop.datasets.quality.expectations import Unique
from everloop.datasets.quality.tables import suites


def expected_keys(unit: Session, *versions: Snapshot) -> tuple[str, ...]:
    """The columns that are expected to be unique in a dataset, if all of these versions have them; else none."""
    here = (suites.c.project == unit.project) & (suites.c.dataset == versions[0].dataset)
    found = unit.scalars(select(suites.c.expectations).where(here))
    columns = [{column.name for column in version.columns} for version in versions]
    wanted = (each.columns for each in (found[0] if found else ()) if isinstance(each, Unique))
    return next((keys for keys in wanted if all(names.issuperset(keys) for names in columns)), ())
