"""Finding and running a project's behavioural tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from everloop.kernel.errors import NotFound, StepFailed
from everloop.loop.behaviour import predict_with, sentences_of
from everloop.registry.entities import Field
from tests.loop.world import TOY, Curve

CURVE = Curve(0.0, 1.0, (Field("weight", "float64"), Field("depot", "string")))
ROWS = {"weight": np.array([-1.0, 1.0]), "depot": np.array(["north", None], dtype=object)}


def found(path: str, folder: Path = TOY) -> list[str]:
    return sorted(sentences_of(folder, path, CURVE, ROWS))


def test_a_module_gives_its_tests_and_nothing_else() -> None:
    assert found("loop_behaviour") == ["test_scores_are_probabilities", "test_what_is_left_out_is_missing"]


def test_a_single_test_can_be_named() -> None:
    assert found("loop_behaviour:test_what_is_left_out_is_missing") == ["test_what_is_left_out_is_missing"]


def test_a_folder_gives_the_tests_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "checks" / "deep").mkdir(parents=True)
    (tmp_path / "checks" / "test_one.py").write_text("def test_one(predict): pass")
    (tmp_path / "checks" / "deep" / "test_two.py").write_text("def test_two(predict): pass")
    (tmp_path / "checks" / "other.py").write_text("def test_three(predict): pass")
    assert found("checks/", tmp_path) == ["test_one", "test_two"]
    assert found("checks/other.py", tmp_path) == ["test_three"]


def test_tests_are_handed_what_their_parameters_name(tmp_path: Path) -> None:
    (tmp_path / "swapped.py").write_text("def test_x(rows, predict): assert len(predict(rows)) == 2")
    sentences_of(tmp_path, "swapped.py", CURVE, ROWS)["test_x"]()


def test_parameters_with_other_names_are_filled_in_order(tmp_path: Path) -> None:
    (tmp_path / "renamed.py").write_text("def test_x(model, examples): assert len(model(examples)) == 2")
    sentences_of(tmp_path, "renamed.py", CURVE, ROWS)["test_x"]()


def test_inputs_that_a_test_leaves_out_are_missing() -> None:
    seen = {}

    class Spy:
        inputs = CURVE.inputs

        def predict(self, columns):
            seen.update(columns)
            return np.zeros(2)

    predict_with(Spy())({"depot": ROWS["depot"]})
    assert np.isnan(seen["weight"]).tolist() == [True, True]
    predict_with(Spy())({"weight": ROWS["weight"]})
    assert seen["depot"].tolist() == [None, None]


@pytest.mark.parametrize("path", ["nowhere", "tests/nowhere", "nowhere.py", "loop_behaviour:test_nothing"])
def test_what_is_not_there_is_not_found(path: str) -> None:
    with pytest.raises(NotFound):
        found(path)


@pytest.mark.parametrize("path", ["broken_behaviour", "broken_behaviour.py"])
def test_tests_that_cannot_be_imported_are_told_as_the_users_error(path: str) -> None:
    with pytest.raises(StepFailed, match="RuntimeError: no such library"):
        found(path)


@pytest.mark.parametrize("path", ["../outside.py", "{}/outside.py", "link/outside.py"])
def test_what_lies_outside_of_the_projects_folder_is_not_run(tmp_path: Path, path: str) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "link").symlink_to(tmp_path)
    (tmp_path / "outside.py").write_text("raise SystemExit")
    with pytest.raises(NotFound, match="not in the project's folder"):
        found(path.format(tmp_path), project)
