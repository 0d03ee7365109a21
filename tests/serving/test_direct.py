"""Models served directly: named by alias or version, answered as they are."""

from __future__ import annotations

import numpy as np
import pytest

from everloop.kernel.errors import EverloopError, InvalidInput, NotFound, Refused
from everloop.registry import service as models
from everloop.registry.entities import Model, Signature
from everloop.serving.direct import DirectModel
from everloop.serving.reference import load_direct
from everloop.serving.request import PredictionRequest
from everloop.serving.together import Outputs
from tests.serving.conftest import World, plain


def direct(world: World, reference: str) -> DirectModel:
    return load_direct(world.platform.session(), reference)


def scores(answer: Outputs | EverloopError) -> list[float]:
    assert not isinstance(answer, EverloopError)
    return list(np.asarray(next(iter(answer.values()))).tolist())


def test_a_version_is_named_by_number_or_alias(world: World) -> None:
    for constant in (0.1, 0.2):
        world.register(constant=constant)
    world.call("models.set_alias", name="delay", alias="champion", version=1)
    assert direct(world, "models:/delay/2").version == 2
    assert direct(world, "models:/delay@champion").version == 1


@pytest.mark.parametrize(
    "wrong", ["delay", "models:/delay", "models:/delay/0", "models:/delay/x", "models:/@a", "runs:/1/m"]
)
def test_what_is_no_reference_is_refused(world: World, wrong: str) -> None:
    with pytest.raises(InvalidInput, match="names no registered model"):
        direct(world, wrong)


@pytest.mark.parametrize("missing", ["models:/nothing/1", "models:/delay/9", "models:/delay@nobody"])
def test_what_there_is_not_is_named(world: World, missing: str) -> None:
    world.register()
    with pytest.raises(NotFound):
        direct(world, missing)


def test_each_request_has_its_own_answer_or_error(world: World) -> None:
    world.register(factor=2.0)
    requests = [PredictionRequest(plain(1.0)), PredictionRequest({}), PredictionRequest(plain(3.0, 4.0))]
    first, wrong, last = direct(world, "models:/delay/1").answer_all(requests)
    assert [scores(first), scores(last)] == [[2.0], [6.0, 8.0]]
    assert isinstance(wrong, InvalidInput)


def test_a_model_that_raises_is_an_error_of_the_server(world: World) -> None:
    world.register(raises=True)
    answer = direct(world, "models:/delay/1").answer_all([PredictionRequest(plain(1.0))])[0]
    assert isinstance(answer, EverloopError)
    assert (answer.status, "failed on this request" in answer.message) == (500, True)


def test_nothing_is_logged(world: World) -> None:
    world.register()
    direct(world, "models:/delay/1").answer_all([PredictionRequest(plain(1.0), "r1")])
    assert not (world.platform.resources.home / "inference").exists()


def test_a_version_without_a_signature_is_refused_before_it_is_loaded(world: World) -> None:
    session = world.platform.session()
    with session.begin() as unit:
        models.register(unit, "nosig", Model("mlflow", unit.store.put_tree([]), Signature((), ())))
    with pytest.raises(Refused, match="has no signature") as refused:
        direct(world, "models:/nosig/1")
    assert "infer_signature" in refused.value.hint
