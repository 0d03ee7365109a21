"""The example projects can be found, and what is not there is said."""

from __future__ import annotations

import pytest

from everloop.app.examples import example_folder
from everloop.kernel.errors import Misconfigured


@pytest.mark.parametrize(("name", "file"), [("flights", "flights/project.py"), ("parcels", "project.py")])
def test_an_example_is_found(name: str, file: str) -> None:
    assert (example_folder(name) / file).is_file()


def test_one_that_is_not_there_is_named() -> None:
    with pytest.raises(Misconfigured, match="dragons"):
        example_folder("dragons")
