"""Which tests one process runs after another, and which begin first, where several processes share the suite.

What a module or a folder shares (a server, a demo, a trained loop) is made once only if one process runs all its tests.
What takes minutes begins first, or the other processes would end and wait for it. xdist's own groups have no effect in
pytest 9.2, and its `loadfile` begins with the files that have the most tests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xdist.scheduler import LoadScopeScheduling

if TYPE_CHECKING:
    import pytest
    from xdist.remote import Producer

UNITS = {
    "demo": ("tests/e2e/test_demo.py", "tests/e2e/test_kill.py"),
    "loop": ("tests/loop/",),
    "doors": ("tests/sdk/test_doors.py",),
    "flights": ("examples/flights/tests/",),
}
"""Files that share what takes long to make, or take long themselves, in the order in which they begin."""


def unit_of(test: str) -> str:
    """What the test belongs to, by its id: a unit above, or its file.

    >>> unit_of("tests/loop/test_gates.py::test_a_gate"), unit_of("tests/kernel/test_ids.py::test_an_id")
    ('loop', 'tests/kernel/test_ids.py')
    """
    file = test.partition("::")[0]
    return next((unit for unit, starts in UNITS.items() if file.startswith(starts)), file)


def in_order(items: list[pytest.Item]) -> None:
    """Put the tests of units first, as they begin; all others stay in their order."""
    places = {unit: place for place, unit in enumerate(UNITS)}
    items.sort(key=lambda item: places.get(unit_of(item.nodeid), len(places)))


class ByUnit(LoadScopeScheduling):  # type: ignore[misc]  # xdist is not typed where mypy looks.
    """Gives each process a unit at a time."""

    def __init__(self, config: pytest.Config, log: Producer | None = None) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False

    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)
