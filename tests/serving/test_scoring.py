"""Scoring: each row is answered once, in order, whatever the variants do with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everloop.registry.entities import Field
from everloop.serving.entities import Endpoint, Share, VariantRole
from everloop.serving.layout import Layout
from everloop.serving.logkeys import LogKeys
from everloop.serving.logrows import LogRows, Made
from everloop.serving.scoring import Rows, Scored, score
from everloop.serving.traffic import Split, allocate
from everloop.serving.variants import Routing, Variant
from tests.serving.batches import read
from tests.serving.conftest import HOUR, OUTPUT, PLAIN, Formula

INPUTS = (Field("x", "float64"),)


def routing(stable: Formula, canary: Formula, percent: float, shadow: Formula | None = None) -> Routing:
    """The routing of an endpoint with a stable, a canary and perhaps a shadow deployment."""
    traffic = (Share(1, 100 - percent), Share(2, percent, "canary"))
    split = Split("delay", allocate(traffic))
    endpoint = Endpoint("delay", "delay", "", "", traffic, allocate(traffic), 1, HOUR)

    def variant(deployment: int, role: VariantRole, formula: Formula) -> Variant:
        chance = 1.0 if role == "shadow" else split.chance(deployment)
        return variant_of(deployment, role, chance, formula)

    answering = {1: variant(1, "stable", stable), 2: variant(2, "canary", canary)}
    shadows = (variant(3, "shadow", shadow),) if shadow else ()
    return routing_of(endpoint, split, answering, shadows, INPUTS)


def variant_of(
    deployment: int, role: VariantRole, chance: float, formula: Formula, inputs: tuple[Field, ...] = INPUTS
) -> Variant:
    layout = Layout(inputs, (), ())
    return Variant(deployment, deployment, role, chance, formula, inputs, None, None, OUTPUT, layout)


def routing_of(
    endpoint: Endpoint,
    split: Split,
    answering: dict[int, Variant],
    shadows: tuple[Variant, ...],
    inputs: tuple[Field, ...],
) -> Routing:
    rows = LogRows(endpoint, inputs, (), (), LogKeys(Path("nowhere")))
    return Routing(endpoint, split, (), answering, shadows, inputs, (), rows)


def logged_of(way: Routing, asked: Rows, scored: Scored) -> list[dict[str, object]]:
    """What the log would have of a request."""
    count = len(asked.keys)
    ids = [f"p-{row}" for row in range(count)]
    batch = way.log.encode(Made([count], ["p"], ["r"], [-1], ids, asked, scored, 7))
    assert batch is not None
    return read(batch).to_pylist()


def rows(values: list[float]) -> Rows:
    return Rows({"x": np.array(values, dtype=float)}, [f"unit {n}" for n in range(len(values))], 5)


NUMBERS = st.lists(st.floats(-100, 100), min_size=1, max_size=40)


@settings(deadline=None)
@given(NUMBERS, st.floats(0, 100), st.floats(-100, 100), st.booleans())
def test_each_row_is_answered_once_and_in_order(
    values: list[float], percent: float, limit: float, raises: bool
) -> None:
    canary = Formula(constant=1000.0, factor=1.0, nan_over=limit, raises=raises)
    way = routing(Formula(factor=1.0), canary, percent, shadow=Formula(constant=-1.0))
    asked = rows(values)
    scored = score(way, asked)
    answers = scored.logged("scores")[: len(values)]
    assigned = way.split.assign(asked.keys)
    for value, deployment, answer in zip(values, assigned, answers, strict=True):
        by_canary = deployment == 2 and not raises and value <= limit
        assert answer == pytest.approx(value + 1000.0 if by_canary else value)


@settings(deadline=None)
@given(NUMBERS, st.floats(0, 100), st.floats(-100, 100))
def test_the_log_has_each_answer_each_shadow_and_each_failure(
    values: list[float], percent: float, limit: float
) -> None:
    way = routing(Formula(factor=1.0), Formula(factor=1.0, nan_over=limit), percent, shadow=Formula(constant=-1.0))
    asked = rows(values)
    scored = score(way, asked)
    logged = logged_of(way, asked, scored)
    failed = sum(value > limit and to == 2 for value, to in zip(values, way.split.assign(asked.keys), strict=True))
    assert len(logged) == 2 * len(values) + failed
    assert [row["key"] for row in logged[: len(values)]] == list(asked.keys)
    assert [row["feature:x"] for row in logged[: len(values)]] == values
    assert sum(row["role"] == "shadow" for row in logged) == len(values)
    assert [row["prediction_id"] for row in logged] == [f"p-{row}" for row in range(len(logged))]


def test_the_chances_of_all_answers_of_a_unit_are_one() -> None:
    way = routing(Formula(), Formula(), 30)
    assert sum(variant.probability for variant in way.answering.values()) == 1.0


def test_an_output_of_another_shape_is_a_failure() -> None:
    class Wide(Formula):
        def predict(self, columns: object) -> np.ndarray:
            return np.zeros((2, 3))

    scored = score(routing(Formula(constant=0.5), Wide(), 100), rows([1.0, 2.0]))
    assert scored.logged("scores")[:2].tolist() == [0.5, 0.5]


def test_infinity_is_no_answer() -> None:
    scored = score(routing(Formula(constant=0.5), Formula(constant=float("inf")), 100), rows([10.0]))
    assert scored.logged("scores")[0] == 0.5


def test_models_that_take_other_inputs_are_logged_with_what_each_took() -> None:
    way = routing(Formula(), Formula(), 50)
    plain = variant_of(2, "canary", 0.5, Formula(), PLAIN)
    mixed = routing_of(way.endpoint, way.split, way.answering | {2: plain}, (), PLAIN)
    asked = rows([float(n) for n in range(20)])
    both = Rows(asked.columns | {"carrier": np.array(["AA"] * 20, dtype=object)}, asked.keys, 5)
    logged = logged_of(mixed, both, score(mixed, both))
    assert {(row["role"], row["feature:carrier"]) for row in logged} == {("stable", "AA"), ("canary", "AA")}
