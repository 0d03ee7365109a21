"""Intervals: measured on a holdout, given with answers, refused where they would mean nothing."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from everloop.datasets.content import write_table
from everloop.kernel.errors import InvalidInput, Refused
from everloop.registry import service as models
from everloop.registry.entities import Field, Provenance, Signature
from everloop.registry.save import save_model
from tests.serving.conftest import Formula, World, column

X = (Field("x", "float64"),)


def register(world: World, truth: np.ndarray, label: str = "y") -> None:
    """A model that gives 2 x, with a holdout of which the truth is known."""
    session = world.platform.session()
    x = np.linspace(0, 1, len(truth))
    write_table(session, "held", pa.table({"x": x, "y": truth}))
    with session.begin() as unit, unit.activate():
        provenance = Provenance(holdout="dataset:default/held@1", label=label)
        native = Formula(factor=2.0, inputs=X)
        signature = Signature(X, (Field("minutes", "float64"),))
        models.register(unit, "delay", save_model(native, flavor="formula", signature=signature, provenance=provenance))


def off(rows: int) -> np.ndarray:
    """The truth of rows that the model is off by 0.01, 0.02, … of."""
    return 2 * np.linspace(0, 1, rows) + np.arange(1, rows + 1) / 100


def test_the_margin_covers_all_but_alpha_of_the_holdout(world: World) -> None:
    register(world, off(99))
    made = world.call("models.calibrate", name="delay", alpha=0.1)
    assert (made.margin, made.rows) == (pytest.approx(0.90), 99)
    assert world.call("models.calibrations", name="delay") == [made]


def test_calibrating_again_measures_again_and_keeps_one(world: World) -> None:
    register(world, off(99))
    for alpha in (0.1, 0.2, 0.1):
        world.call("models.calibrate", name="delay", alpha=alpha)
    assert [one.alpha for one in world.call("models.calibrations", name="delay")] == [0.1, 0.2]


def test_answers_come_with_their_interval(world: World) -> None:
    register(world, off(99))
    world.call("models.calibrate", name="delay", alpha=0.1)
    world.create()
    made = world.call("endpoints.deploy", name="delay", configuration={"interval": 0.1})
    world.traffic((made.revision, 100, "stable"))
    predictor = world.predictor()
    for _ in range(2):  # The second is answered from the log.
        answer = predictor.predict({"x": column(0.5)}, "one")
        assert answer.interval is not None
        assert [bound.tolist() for bound in answer.interval] == [[pytest.approx(0.1)], [pytest.approx(1.9)]]


def test_a_model_without_intervals_gives_none(world: World) -> None:
    register(world, off(99))
    world.create()
    assert world.predictor().predict({"x": column(0.5)}).interval is None


def test_a_classifier_is_refused(world: World) -> None:
    register(world, (np.arange(99) % 2).astype(float))
    with pytest.raises(Refused, match="0 or 1"):
        world.call("models.calibrate", name="delay")


def test_too_few_rows_are_refused(world: World) -> None:
    register(world, off(8))
    with pytest.raises(Refused, match="8 rows are too few"):
        world.call("models.calibrate", name="delay", alpha=0.1)


@pytest.mark.parametrize("alpha", [0, 1, -0.5, 7])
def test_an_alpha_that_is_no_share_is_refused(world: World, alpha: float) -> None:
    register(world, off(99))
    with pytest.raises(InvalidInput, match="alpha"):
        world.call("models.calibrate", name="delay", alpha=alpha)


def test_a_holdout_without_the_label_is_refused(world: World) -> None:
    register(world, off(99), label="late")
    with pytest.raises(InvalidInput, match="no column late"):
        world.call("models.calibrate", name="delay")
