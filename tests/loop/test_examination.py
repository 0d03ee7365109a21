"""Both models before the gates."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from everloop.loop import declare as el
from everloop.loop.entities import GateResult
from everloop.loop.examination import Examination
from everloop.loop.reproduction import model_of
from everloop.registry.entities import Model
from tests.loop.world import TOY, World


@pytest.fixture
def good(world: World) -> Model:
    """The model that the toy's pipeline makes."""
    return trained(world, "fit")


def trained(world: World, pipeline: str) -> Model:
    return model_of(world.call("pipelines.run", name=pipeline, arguments={"until": world.clock.now().isoformat()}))


def examined(world: World, challenger: Model, champion: Model | None, *gates: object) -> list[GateResult]:
    examination = Examination(world.platform.session(), challenger, lambda alias: champion, TOY)
    return list(examination.results(gates))  # type: ignore[arg-type]


def test_both_models_are_compared_on_the_challengers_holdout(world: World, good: Model) -> None:
    (result,) = examined(world, good, trained(world, "fit_backwards"), el.better_than())
    assert result.passed
    assert result.evidence["n"] == 300


def test_every_gate_is_asked_although_one_has_refused(world: World, good: Model) -> None:
    gates = (
        el.better_than(),
        el.no_slice_worse("depot", minimum=50),
        el.latency("1s"),
        el.tests("loop_behaviour"),
        el.package_scan(),
    )
    results = examined(world, trained(world, "fit_backwards"), good, *gates)
    assert [result.passed for result in results] == [False, False, True, True, True]


def test_the_challenger_is_measured_on_its_holdout(world: World, good: Model) -> None:
    examination = Examination(world.platform.session(), good, lambda alias: None, TOY)
    assert examination.measured["roc_auc"] > 0.8
    assert set(examination.measured) == {"roc_auc", "log_loss", "brier"}


def test_a_challenger_that_gives_no_number_for_some_rows_is_refused_however_well_it_ranks_the_others(
    world: World, good: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Examination._scores
    monkeypatch.setattr(Examination, "_scores", lambda self, model: np.r_[np.nan, whole(self, model)[1:]])
    (result,) = examined(world, good, trained(world, "fit_backwards"), el.better_than())
    assert not result.passed
    assert "no finite number for 1 of 300 rows" in result.message


def test_a_model_that_breaks_is_not_measured_and_stops_no_controller(
    world: World, good: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Examination, model: Model) -> None:
        raise RuntimeError(model.flavor)

    monkeypatch.setattr(Examination, "_scores", broken)
    assert Examination(world.platform.session(), good, lambda alias: None, TOY).measured == {}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"holdout": ""}, "names no holdout"),
        ({"holdout": "dataset:default/parcels_holdout@99"}, "no version 99"),
        ({"label": "lateness"}, "no column 'lateness'"),
        ({"flavor": "abacus"}, "There is no backend 'abacus' for flavors"),
    ],
)
def test_a_model_that_cannot_be_judged_is_refused_and_says_why(
    world: World, good: Model, change: dict[str, str], said: str
) -> None:
    (result,) = examined(world, msgspec.structs.replace(good, **change), good, el.better_than())
    assert not result.passed
    assert said in result.message


def test_a_model_without_a_holdout_is_measured_by_nothing(world: World, good: Model) -> None:
    bare = msgspec.structs.replace(good, holdout="")
    assert Examination(world.platform.session(), bare, lambda alias: None, TOY).measured == {}


def test_a_slice_column_that_the_holdout_lacks_refuses(world: World, good: Model) -> None:
    (result,) = examined(world, good, good, el.no_slice_worse("colour"))
    assert "no column 'colour'" in result.message


def test_a_model_that_breaks_is_refused_and_not_raised(
    world: World, good: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: object, columns: object) -> np.ndarray:
        raise ZeroDivisionError("in the model")

    monkeypatch.setattr("tests.loop.world.Curve.predict", broken)
    (result,) = examined(world, good, None, el.better_than())
    assert result.message == "The model broke: ZeroDivisionError: in the model"


def test_rows_without_a_label_are_left_out(world: World, good: Model) -> None:
    from everloop.datasets.content import read_table, resolve, write_table

    session = world.platform.session()
    rows = read_table(session, resolve(session, good.holdout))
    late = rows["late"].to_numpy().copy()
    late[:100] = np.nan
    gaps = write_table(session, "gaps", rows.set_column(rows.column_names.index("late"), "late", [late]))
    other = msgspec.structs.replace(good, holdout=f"dataset:default/gaps@{gaps.version}")
    (result,) = examined(world, other, trained(world, "fit_backwards"), el.better_than())
    assert result.evidence["n"] == 200


class TestData:
    """What is expected of the data that a challenger came from."""

    def expect(self, world: World, dataset: str, low: float, gates: tuple[str, ...] = ()) -> None:
        expectation = {"type": "in_range", "column": "weight", "minimum": low}
        declared = [{"dataset": dataset, "expectations": [expectation], "gates": gates}]
        world.call("datasets.apply_suites", declared=declared)

    @pytest.mark.parametrize(("low", "passed"), [(-1e9, True), (1e9, False)])
    def test_the_version_that_was_trained_on_is_asked_about(
        self, world: World, good: Model, low: float, passed: bool
    ) -> None:
        self.expect(world, "parcels_training", low)
        (result,) = examined(world, good, None, el.checks_pass("parcels_training"))
        assert result.passed is passed
        assert result.evidence == {"parcels_training@1": passed}

    def test_so_are_those_that_it_was_derived_from(self, world: World, good: Model) -> None:
        self.expect(world, "parcels", 1e9)
        (result,) = examined(world, good, None, el.checks_pass("parcels"))
        assert "Its data fails what is expected. parcels@1: weight is at least" in result.message

    def test_data_that_nothing_is_expected_of_cannot_pass(self, world: World, good: Model) -> None:
        (result,) = examined(world, good, None, el.checks_pass("parcels"))
        assert not result.passed
        assert "Nothing is expected of parcels" in result.message

    def test_a_dataset_that_is_not_there_refuses(self, world: World, good: Model) -> None:
        (result,) = examined(world, good, None, el.checks_pass("trains"))
        assert "There is no dataset 'trains'" in result.message

    def test_a_suite_that_gates_deployments_needs_no_gate_in_the_loop(self, world: World, good: Model) -> None:
        self.expect(world, "parcels", 1e9, gates=("deployment",))
        (result,) = examined(world, good, None)
        assert (result.gate, result.passed) == ("checks_pass", False)
        assert len(examined(world, good, None, el.checks_pass("parcels"))) == 1

    def test_a_loop_stops_its_candidate(self, world: World) -> None:
        self.expect(world, "parcels", 1e9, gates=("deployment",))
        world.apply(gates=())
        world.tick()
        (stopped,) = world.candidates()
        assert stopped.status == "refused"
        assert "weight is at least" in stopped.outcome
