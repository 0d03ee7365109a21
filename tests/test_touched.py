"""What `make check` tests: what mirrors the files that were changed."""

from __future__ import annotations

from pathlib import Path

import pytest
from scripts.touched import ALWAYS, touched


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A tree with tests of some things."""
    for name in ("tests/store/test_packs.py", "tests/store/trees/test_diff.py", "tests/kernel/test_ids.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


@pytest.mark.parametrize(
    ("changed", "tests"),
    [
        ("src/everloop/store/packs.py", "tests/store/test_packs.py"),
        ("src/everloop/store/bulk.py", "tests/store"),
        ("src/everloop/store/trees/new/deep.py", "tests/store/trees"),
        ("tests/store/test_packs.py", "tests/store/test_packs.py"),
        ("tests/store/conftest.py", "tests/store"),
    ],
)
def test_a_file_goes_with_the_tests_that_mirror_it(root: Path, changed: str, tests: str) -> None:
    assert set(touched([changed], root)) == {*ALWAYS, tests}


@pytest.mark.parametrize(
    "changed", ["README.md", "src/everloop/new/thing.py", "tests/store/test_removed.py", "tests/conftest.py"]
)
def test_what_has_no_tests_of_its_own_adds_none(root: Path, changed: str) -> None:
    assert set(touched([changed], root)) == set(ALWAYS)


def test_nothing_is_run_twice(root: Path) -> None:
    changed = ["src/everloop/store/packs.py", "src/everloop/store/bulk.py", "src/everloop/kernel/ids.py"]
    assert set(touched(changed, root)) == {*ALWAYS, "tests/store"}
