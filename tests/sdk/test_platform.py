"""The door in Python: groups, errors, bytes, and being the active platform."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from random import Random

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

import everloop as el
from everloop.app.platform import Platform
from everloop.app.remote import RemotePlatform
from everloop.catalog.session import active_session
from everloop.sdk.platform import Everloop
from everloop.store.service import digest_of
from tests.server.conftest import HERE, client_of


@pytest.fixture(params=["in process", "over HTTP"])
def everloop(request: pytest.FixtureRequest, platform: Platform) -> Iterator[Everloop]:
    """A platform by both ways."""
    if request.param == "in process":
        yield Everloop(platform)
    else:
        with client_of(platform) as client:
            yield Everloop(RemotePlatform(HERE, http=client, random=Random(2)))


def test_a_use_case_is_a_method_of_its_group(everloop: Everloop) -> None:
    assert everloop.experiments.create("delay", "Is it late?").description == "Is it late?"
    assert [found.name for found in everloop.experiments.list()] == ["delay"]


def test_arguments_go_by_position_or_name(everloop: Everloop) -> None:
    one = everloop.runs.start("delay", "first", {"leaves": "31"})
    two = everloop.runs.start(experiment="delay", name="first", parameters={"leaves": "31"})
    assert (one.parameters, one.name) == (two.parameters, two.name)


@pytest.mark.parametrize(
    ("arguments", "named"), [((), {}), (("a", "b", "c"), {}), (("a",), {"name": "a"}), (("a",), {"colour": "red"})]
)
def test_arguments_that_do_not_fit_are_wrong_input(
    everloop: Everloop, arguments: tuple[str, ...], named: dict[str, str]
) -> None:
    with pytest.raises(el.InvalidInput, match=r"experiments\.create") as caught:
        everloop.experiments.create(*arguments, **named)
    assert "name, description=''" in caught.value.hint


def test_an_error_is_of_the_class_that_says_what_happened(everloop: Everloop) -> None:
    with pytest.raises(el.NotFound):
        everloop.experiments.get("none")


@pytest.mark.parametrize(
    ("look", "words"),
    [
        (lambda e: e.experimens, "did you mean 'experiments'"),
        (lambda e: e.experiments.lst, "did you mean 'list'"),
        (lambda e: e.zzzzz, "there are: audit"),
    ],
)
def test_a_misspelled_name_is_answered_with_the_one_that_was_meant(
    everloop: Everloop, look: object, words: str
) -> None:
    assert callable(look)
    with pytest.raises(AttributeError, match=words):
        look(everloop)


def test_groups_and_methods_can_be_listed(everloop: Everloop) -> None:
    assert {"models", "datasets", "put", "in_project"} <= set(dir(everloop))
    assert {"set_alias", "register"} <= set(dir(everloop.models))


def test_a_method_shows_its_signature_and_docstring(everloop: Everloop) -> None:
    method = everloop.models.set_alias
    assert list(inspect.signature(method).parameters) == ["name", "alias", "version"]
    assert inspect.getdoc(method)
    assert "name, alias, version" in repr(method)


def test_bytes_and_files_go_in_and_come_out(everloop: Everloop, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"of a file")
    assert everloop.get_object(everloop.put(b"of mine")) == b"of mine"
    assert everloop.put(tmp_path / "file") == digest_of(b"of a file")


def test_another_project_is_another_world(everloop: Everloop) -> None:
    everloop.in_project("other").experiments.create("delay")
    assert everloop.experiments.list() == []
    assert len(everloop.in_project("other").experiments.list()) == 1


def test_in_process_it_is_the_active_platform_inside_of_with(platform: Platform) -> None:
    with Everloop(platform):
        assert active_session().home == platform.resources.home
    with pytest.raises(el.NotFound):
        active_session()


def test_a_session_cannot_be_had_over_http(platform: Platform) -> None:
    with pytest.raises(el.Refused, match="HTTP"):
        Everloop(RemotePlatform(HERE)).session()


def test_open_makes_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EVERLOOP_HOME", raising=False)
    with el.open(tmp_path / "home", project="mine") as everloop:
        everloop.experiments.create("delay")
        assert everloop.session().project == "mine"
    assert (tmp_path / "home" / "catalog.db").exists()


def test_open_takes_a_path_and_nothing_else(everloop: Everloop) -> None:
    with pytest.raises(TypeError):
        el.open(everloop)  # type: ignore[arg-type]  # a platform is no path


def test_connect_sends_nothing_before_the_first_call() -> None:
    everloop = el.connect("http://127.0.0.1:1", "token", project="p")
    assert "models" in dir(everloop)


def test_a_script_registers_what_it_has_trained_with_one_call(platform: Platform) -> None:
    rows = np.random.default_rng(0).normal(size=(60, 2))
    model = LogisticRegression().fit(rows, rows[:, 0] > 0)
    with Everloop(platform) as ever:
        made = el.register_model(model, "late", {"a": rows[:, 0], "b": rows[:, 1]}, alias="champion")
        assert ever.models.version("late", alias="champion") == made
        assert [field.name for field in made.trained.signature.outputs] == ["prediction"]
        found = el.load_model(made.trained).predict({"a": rows[:, 0], "b": rows[:, 1]})
    assert np.allclose(found, model.predict_proba(rows)[:, 1], atol=1e-9)


def test_the_columns_of_a_matrix_are_numbered(platform: Platform) -> None:
    rows = np.random.default_rng(0).normal(size=(60, 2))
    model = LogisticRegression().fit(rows, rows[:, 0] > 0)
    with Everloop(platform):
        made = el.register_model(model, "late", rows)
    assert [field.name for field in made.trained.signature.inputs] == ["x0", "x1"]


def test_a_frame_shows_its_categories_when_a_model_is_registered(platform: Platform) -> None:
    rows = [{"depot": depot, "weight": float(at)} for at, depot in enumerate(["east", "west"] * 30)]
    encode = ColumnTransformer([("depot", OneHotEncoder(), ["depot"])], remainder="passthrough")
    model = make_pipeline(encode, LogisticRegression()).fit(pd.DataFrame(rows), [0, 1] * 30)
    with Everloop(platform):
        made = el.register_model(model, "late", rows, outputs="late")
    assert made.trained.signature.inputs[0].categories == ("east", "west")
