"""A project's modules, as its files are at the moment."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from everloop.kernel.errors import InvalidInput, NotFound, StepFailed
from everloop.pipelines.declare import Pipeline
from everloop.pipelines.project import folder_of, is_within, load, load_module
from tests.pipelines.conftest import Project

STEPS = "import everloop as el\n@el.pipeline\ndef fit(): return 1\nLIMIT = 5\n"


def test_a_module_is_read_again_when_its_file_has_changed(project: Project) -> None:
    project.write("rates.py", "RATE = 1\n")
    first = load_module(project.folder, "rates")
    project.edit("rates.py", "1", "2")
    assert (first.RATE, load_module(project.folder, "rates").RATE) == (1, 2)


def test_a_change_within_the_same_second_and_of_the_same_length_counts(project: Project) -> None:
    project.write("rates.py", "RATE = 1\n")
    os.utime(project.folder / "rates.py", (1, 1))
    load_module(project.folder, "rates")
    project.edit("rates.py", "1", "2")
    os.utime(project.folder / "rates.py", (1, 1))
    assert load_module(project.folder, "rates").RATE == 2


def test_an_unchanged_module_is_not_run_again(project: Project) -> None:
    project.write("rates.py", "RATE = object()\n")
    assert load_module(project.folder, "rates") is load_module(project.folder, "rates")


def test_a_module_sees_the_change_of_one_that_it_imports(project: Project) -> None:
    project.write("package/__init__.py", "")
    project.write("package/inner.py", "RATE = 1\n")
    project.write("outer.py", "from package.inner import RATE\n")
    assert load_module(project.folder, "outer").RATE == 1
    project.edit("package/inner.py", "1", "2")
    assert load_module(project.folder, "outer").RATE == 2


def test_a_module_that_has_gone_is_not_found(project: Project) -> None:
    project.write("rates.py", "RATE = 1\n")
    load_module(project.folder, "rates")
    (project.folder / "rates.py").unlink()
    with pytest.raises(NotFound, match="no module 'rates'"):
        load_module(project.folder, "rates")


def test_each_project_has_its_own_module_of_a_name(project: Project, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    project.write("rates.py", "RATE = 1\n")
    (other / "rates.py").write_text("RATE = 2\n")
    found = [load_module(folder, "rates").RATE for folder in (project.folder, other, project.folder)]
    assert found == [1, 2, 1]


def test_a_librarys_module_is_left_alone(project: Project) -> None:
    import json

    project.write("rates.py", "import json\n")
    load_module(project.folder, "rates")
    assert sys.modules["json"] is json


def test_a_pipeline_is_found_by_module_and_name(project: Project) -> None:
    project.write("steps.py", STEPS)
    assert load(project.folder, "steps:fit", Pipeline).name == "fit"


@pytest.mark.parametrize(
    ("target", "error", "said"),
    [
        ("steps", InvalidInput, "does not name a function"),
        ("steps:missing", NotFound, "steps has no missing"),
        ("nowhere:fit", NotFound, "no module 'nowhere'"),
        ("steps:LIMIT", InvalidInput, "is no pipeline"),
    ],
)
def test_a_target_that_names_no_pipeline_says_why(
    project: Project, target: str, error: type[Exception], said: str
) -> None:
    project.write("steps.py", STEPS)
    with pytest.raises(error, match=said):
        load(project.folder, target, Pipeline)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import no_such_library", "No module named 'no_such_library'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("def (", "SyntaxError"),
    ],
)
def test_a_module_that_cannot_be_imported_says_why(project: Project, text: str, said: str) -> None:
    project.write("steps.py", text)
    with pytest.raises(StepFailed, match=said):
        load_module(project.folder, "steps")


def test_a_library_that_is_missing_is_named_in_the_hint(project: Project) -> None:
    project.write("steps.py", "import no_such_library")
    with pytest.raises(StepFailed) as caught:
        load_module(project.folder, "steps")
    assert caught.value.problem.hint == "Install no_such_library."


def test_the_folder_of_a_module_is_the_one_it_is_imported_from(project: Project) -> None:
    project.write("package/__init__.py", "")
    project.write("package/inner.py", "")
    load_module(project.folder, "package.inner")
    assert folder_of("package.inner") == folder_of("package") == project.folder.resolve()


@pytest.mark.parametrize(
    ("path", "inside"),
    [("a.py", True), ("a/b.py", True), (".venv/lib/site-packages/x.py", False), ("../a.py", False)],
)
def test_what_is_installed_below_a_project_is_no_part_of_it(tmp_path: Path, path: str, inside: bool) -> None:
    assert is_within(tmp_path / path, tmp_path) == inside
