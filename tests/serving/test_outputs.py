"""Models that give more than one number a row: all of it is answered and logged."""

from __future__ import annotations

import numpy as np
import pytest

from everloop.serving.inferencelog import LogReader
from tests.serving.conftest import World, plain


@pytest.fixture
def named(world: World) -> World:
    """An endpoint with a model that gives a text, a vector and a number."""
    world.register(factor=0.1, is_named=True)
    world.create()
    return world


def test_every_output_is_answered_by_its_name(named: World) -> None:
    answer = named.predictor().predict(plain(2.0, 7.0))
    assert answer.values is not None
    assert answer.values["verdict"].tolist() == ["in time", "late"]
    assert answer.values["classes"].shape == (2, 2)
    assert answer.values["probability"].tolist() == pytest.approx([0.2, 0.7])


def test_the_output_of_the_log_is_the_first_number_and_outputs_are_all_of_it(named: World) -> None:
    answer = named.predictor().predict(plain(7.0))
    record = named.call("endpoints.prediction", name="delay", id=answer.prediction_ids[0])
    assert record.output == pytest.approx(0.3)  # type: ignore[attr-defined]  # It is a record.
    assert record.outputs == {  # type: ignore[attr-defined]  # As above.
        "verdict": "late",
        "classes": pytest.approx([0.3, 0.7]),
        "probability": pytest.approx(0.7),
    }


def test_a_retried_request_gets_every_output_again(named: World) -> None:
    first = named.predictor().predict(plain(2.0, 7.0), "r1")
    again = named.predictor().predict(plain(2.0, 7.0), "r1")
    assert again.replayed
    assert first.values is not None
    assert again.values is not None
    for name, values in first.values.items():
        assert again.values[name].tolist() == values.tolist()
        assert again.values[name].shape == values.shape


def test_a_canary_without_those_outputs_answers_nobody(named: World) -> None:
    named.canary(50, constant=0.9)
    answer = named.predictor().predict(plain(*range(40)))
    assert set(answer.deployments.tolist()) == {1}
    rows = [
        row for b in LogReader(named.platform.resources.home, "default", "delay").since()[0] for row in b.to_pylist()
    ]
    assert {row["outputs"] is None for row in rows if row["role"] == "canary"} == {True}
    assert all(row["outputs"] for row in rows if row["role"] == "stable")


def test_a_plain_log_has_no_such_column(world: World) -> None:
    world.register()
    world.create()
    assert "outputs" not in world.predictor().routing.log.schema.names
    assert world.predictor().predict(plain(1.0)).values is None


def test_values_of_several_variants_come_in_order(named: World) -> None:
    named.canary(50, constant=0.0, factor=0.1, is_named=True)
    answer = named.predictor().predict(plain(*np.arange(40) / 4))
    assert answer.values is not None
    assert set(answer.deployments.tolist()) == {1, 2}
    assert answer.values["classes"][:, 1].tolist() == pytest.approx((np.arange(40) / 40).tolist())
