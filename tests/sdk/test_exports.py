"""`import everloop as el`: light, complete, and the same for Python and for editors."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import everloop as el

HEAVY = {
    "alembic",
    "click",
    "duckdb",
    "httpx",
    "lightgbm",
    "lmdb",
    "msgspec",
    "numpy",
    "pyarrow",
    "rich",
    "scipy",
    "sklearn",
    "sqlalchemy",
    "starlette",
    "uvicorn",
}
"""What costs more than a few milliseconds to import."""


def imported(statement: str) -> set[str]:
    """The modules that a statement imports in a fresh interpreter, as `-X importtime` lists them."""
    command = [sys.executable, "-X", "importtime", "-c", statement]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    return {line.rpartition("|")[2].strip() for line in ran.stderr.splitlines() if line.startswith("import time:")}


def test_importing_everloop_imports_nothing_heavy() -> None:
    modules = imported("import everloop") - imported("pass")
    assert not HEAVY & {name.partition(".")[0] for name in modules}
    assert len(modules) < 30


@pytest.mark.parametrize("declaration", ["el.Entity('airport', keys=['origin'])", "el.every('30d')", "el.step"])
def test_declaring_imports_no_heavy_library_either(declaration: str) -> None:
    modules = imported(f"import everloop as el; {declaration}") - imported("pass")
    assert not (HEAVY - {"msgspec"}) & {name.partition(".")[0] for name in modules}


@pytest.mark.parametrize("name", el.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(el, name) is not None


def test_editors_see_the_same_names_from_the_same_places() -> None:
    tree = ast.parse(Path(str(el.__file__)).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    seen = {
        alias.asname: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert seen == el._HOMES


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = el.nothing  # type: ignore[attr-defined]  # that it is not there is the point


def test_the_version_is_that_of_the_distribution() -> None:
    from importlib.metadata import version

    assert el.__version__ == version("everloop")
