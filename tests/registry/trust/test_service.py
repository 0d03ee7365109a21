"""Trust: models that bring code run only after somebody said so, for those very files, and in a sandbox."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from everloop.app.platform import Platform
from everloop.governance.entities import Principal
from everloop.kernel.errors import InvalidInput, NotFound, PermissionDenied, Refused
from everloop.registry import save
from everloop.registry.entities import Field, Model, Signature
from everloop.registry.save import flavor_of, load_model, save_model
from tests.backends.pythonmodels import Doubling

SIGNATURE = Signature((Field("x", "float64"),), (Field("score", "float64"),))
X = {"x": np.array([1.0, 2.0])}


def call(platform: Platform, usecase: str, principal: Principal | None = None, /, **arguments: object) -> Any:
    return platform.call(usecase, arguments, principal=principal, strict=False)


def saved(platform: Platform, factor: float = 2.0) -> Model:
    """A model with code that another process saved, as this one sees it."""
    with platform.session().activate():
        model = save_model(Doubling(factor), flavor="python", signature=SIGNATURE)
    save._made_here.discard(model.digest)
    return model


@pytest.fixture
def model(platform: Platform) -> Model:
    trained = saved(platform)
    call(platform, "models.register", name="twice", trained=trained)
    return trained


def load(platform: Platform, model: Model) -> object:
    save._loaded.clear()
    return load_model(platform.session(), model)


def test_code_that_nobody_trusts_does_not_run_and_the_hint_names_the_command(platform: Platform, model: Model) -> None:
    with pytest.raises(Refused, match=r"pythonmodels\.py") as caught:
        load(platform, model)
    assert "everloop models trust twice 1 --reason" in caught.value.hint


def test_one_that_is_not_registered_says_so(platform: Platform) -> None:
    with pytest.raises(Refused) as caught:
        load(platform, saved(platform, 7.0))
    assert "after it is registered" in caught.value.hint


@pytest.mark.slow
def test_trusted_code_runs_in_a_sandbox(platform: Platform, model: Model) -> None:
    call(platform, "models.trust", name="twice", version=1, reason="I read it.")
    predictor = load(platform, model)
    assert type(predictor).__name__ == "SandboxedTensors"
    assert predictor.predict(X).tolist() == [2, 4]  # type: ignore[attr-defined]  # as the port says


@pytest.mark.slow
def test_what_this_process_made_it_has_run_already(platform: Platform) -> None:
    with platform.session().activate():
        trained = save_model(Doubling(5.0), signature=SIGNATURE)
    predictor = load_model(platform.session(), trained)
    assert predictor.predict(X).tolist() == [5, 10]


def test_trust_is_bound_to_the_bytes(platform: Platform, model: Model) -> None:
    call(platform, "models.trust", name="twice", version=1, reason="I read it.")
    other = saved(platform, 3.0)
    call(platform, "models.register", name="twice", trained=other)
    with pytest.raises(Refused, match="nobody has said"):
        load(platform, other)


@pytest.mark.slow
def test_what_is_distrusted_runs_no_more_even_when_it_is_in_memory(platform: Platform, model: Model) -> None:
    call(platform, "models.trust", name="twice", version=1, reason="I read it.")
    load(platform, model)
    call(platform, "models.distrust", name="twice", version=1, reason="It phones home.")
    with pytest.raises(Refused):
        load_model(platform.session(), model)


def test_the_decisions_that_stand_are_listed(platform: Platform, model: Model) -> None:
    given = call(platform, "models.trust", name="twice", version=1, reason="I read it.")
    assert (given.digest, given.reason) == (model.digest, "I read it.")
    assert call(platform, "models.trusted", name="twice") == [given]
    assert call(platform, "models.trusted", name="twice", version=1) == [given]
    call(platform, "models.distrust", name="twice", version=1, reason="No.")
    assert call(platform, "models.trusted", name="twice") == []


def test_trusting_twice_is_one_decision(platform: Platform, model: Model) -> None:
    first = call(platform, "models.trust", name="twice", version=1, reason="I read it.")
    assert call(platform, "models.trust", name="twice", version=1, reason="I too.") == first


def test_each_decision_is_in_the_ledger(platform: Platform, model: Model) -> None:
    call(platform, "models.trust", name="twice", version=1, reason="I read it.")
    call(platform, "models.distrust", name="twice", version=1, reason="It phones home.")
    kinds = [entry.kind for entry in call(platform, "audit.entries", kind="models.")]
    assert {"models.trusted", "models.distrusted"} <= set(kinds)


def test_a_decision_needs_a_reason(platform: Platform, model: Model) -> None:
    with pytest.raises(InvalidInput, match="reason"):
        call(platform, "models.trust", name="twice", version=1, reason=" ")


def test_what_nobody_trusts_cannot_be_distrusted(platform: Platform, model: Model) -> None:
    with pytest.raises(NotFound, match="twice@1"):
        call(platform, "models.distrust", name="twice", version=1, reason="No.")


def test_who_may_not_approve_may_not_trust(platform: Platform, model: Model) -> None:
    contributor = Principal("carla", ("contributor",))
    with pytest.raises(PermissionDenied):
        call(platform, "models.trust", contributor, name="twice", version=1, reason="I read it.")


def test_the_flavor_is_told_by_the_library_of_the_class() -> None:
    class Mine(Doubling):
        pass

    assert flavor_of(Mine()) == "python"
    with pytest.raises(InvalidInput, match="dict"):
        flavor_of({})
