"""A process that writes to the ledger, for tests that run several at once or kill them.

    python -m tests.contracts.ledger_writer HOME DATABASE_URL NAME COUNT [hang]

Prints a line after each commit; with `hang` it then stops inside of an open transaction that has written already.
"""

from __future__ import annotations

import sys
import time

from everloop.app.platform import open_platform
from everloop.app.settings import load
from everloop.catalog import ledger
from everloop.catalog.lineage import link
from everloop.catalog.session import Session
from tests.catalog.events import Noted


def write(session: Session, name: str, number: int) -> None:
    """Note a number, in one unit of work with a lineage edge."""
    with session.begin() as unit:
        unit.emit(Noted(subject=f"writer:default/{name}", text=str(number)))
        link(unit, f"note:default/{name}.{number}", "note:default/first", "derived_from")


def hang(session: Session, name: str) -> None:
    """Write a row and an entry, and never commit."""
    with session.begin() as unit:
        link(unit, f"note:default/{name}.lost", "note:default/first", "derived_from")
        lost = Noted(subject=f"writer:default/{name}", text="lost")
        ledger.append(unit.connection, unit.clock.now(), unit.project, unit.principal, [lost])
        print("inside", flush=True)  # noqa: T201  The test waits for this line.
        time.sleep(600)


def main() -> None:
    """Write as often as the arguments say."""
    home, url, name, count, *rest = sys.argv[1:]
    platform = open_platform(load({"home": home, "database_url": url}, environment={}))
    for number in range(int(count)):
        write(platform.session(), name, number)
        print(number, flush=True)  # noqa: T201  What is printed has been acknowledged.
    if rest:
        hang(platform.session(), name)


if __name__ == "__main__":
    main()
