"""Turning the recording of libraries on and off."""

from __future__ import annotations

import subprocess
import sys

import pytest

import everloop as el
from everloop.kernel.errors import InvalidInput

QUIET = "import sys, everloop as el\n"


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", QUIET + code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_library_that_is_not_known_is_refused_with_those_that_are() -> None:
    with pytest.raises(InvalidInput, match="fortran cannot be recorded") as refused:
        el.autolog(["sklearn", "fortran"])
    assert "sklearn, xgboost" in refused.value.hint


@pytest.mark.slow
def test_nothing_is_imported_by_it() -> None:
    heavy = "{'sklearn', 'xgboost', 'lightgbm', 'keras', 'optuna', 'torch', 'lightning', 'numpy', 'pandas'}"
    assert run(f"el.autolog()\nprint(sorted({heavy} & sys.modules.keys()))") == "[]"


@pytest.mark.slow
def test_a_library_is_prepared_when_it_is_imported_later() -> None:
    code = "el.autolog('sklearn')\nfrom sklearn.linear_model import Ridge\nprint(hasattr(Ridge.fit, '__everloop__'))"
    assert run(code) == "True"


@pytest.mark.slow
def test_one_that_was_turned_off_before_it_was_imported_stays_as_it_is() -> None:
    code = "el.autolog()\nel.autolog(disable=True)\nfrom sklearn.linear_model import Ridge\n"
    assert run(f"{code}print(hasattr(Ridge.fit, '__everloop__'))") == "False"


@pytest.mark.slow
def test_a_module_that_was_waited_for_has_its_own_loader() -> None:
    code = "el.autolog()\nimport sklearn.base, importlib\n"
    assert run(f"{code}print(type(sklearn.base.__spec__.loader).__name__)") == "SourceFileLoader"
