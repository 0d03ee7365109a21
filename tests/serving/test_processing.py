"""The project's own code before and after a model: what it is given, what is logged, and that it stays what it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from everloop.kernel.errors import EverloopError, InvalidInput, NotFound, Refused
from everloop.serving.predictor import EndpointPredictor
from tests.serving.conftest import World, column, plain

SOURCE = """
import numpy as np
import everloop as el

LEVEL = 10.0


@el.step
def columns(given):
    if (given["hour"] == "none").any():
        raise ValueError("there is no hour 'none'")
    return {"x": scaled(np.array([len(one) for one in given["hour"]], dtype=float)), "carrier": given["carrier"]}


def scaled(values):
    return values * LEVEL


def nothing(given):
    return {"x": given["x"]}


def broken(given):
    raise RuntimeError("broken")


def fewer(given):
    return {"x": given["x"][:0], "carrier": given["carrier"][:0]}


def written(given):
    given["x"] *= 2
    return given


def rounded(scores):
    return np.round(scores, 1)


def one(scores):
    return 1.0
"""
INPUTS = [{"name": "hour", "type": "string"}, {"name": "carrier", "type": "string"}]
HOURS = {"before": {"function": "around:columns"}, "inputs": INPUTS}


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The module of a project in whose folder we are."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    (folder / "around.py").write_text(SOURCE)
    return folder / "around.py"


def deploy(world: World, **configuration: object) -> int:
    """The revision of another deployment of version 1, which has all traffic."""
    made = world.call("endpoints.deploy", name="delay", version=1, configuration=configuration)
    world.traffic((made.revision, 100, "stable"))
    return made.revision


def serve(world: World, configuration: dict[str, object], **formula: object) -> EndpointPredictor:
    world.register(**{"factor": 0.01} | formula)
    world.create()
    deploy(world, **configuration)
    return world.predictor()


def hours(*values: str) -> dict[str, np.ndarray]:
    return {"hour": column(*values), "carrier": column(*("AA" for _ in values))}


def test_a_request_brings_what_the_function_takes_and_the_model_sees_what_it_gives(world: World, source: Path) -> None:
    predictor = serve(world, HOURS)
    assert [field.name for field in predictor.routing.inputs] == ["hour", "carrier"]
    assert predictor.predict(hours("abc", "a")).outputs.tolist() == pytest.approx([0.3, 0.1])


def test_the_log_keeps_what_came_and_what_the_model_saw(world: World, source: Path) -> None:
    serve(world, HOURS).predict(hours("abc"))
    (logged,) = world.call("endpoints.predictions", name="delay")
    assert logged.features == {"hour": "abc", "carrier": "AA", "x": 30.0}


def test_what_comes_after_makes_the_answer(world: World, source: Path) -> None:
    predictor = serve(world, {"after": {"function": "around:rounded"}})
    assert predictor.predict(plain(33.0)).outputs.tolist() == [0.3]


def test_without_inputs_of_its_own_it_takes_what_the_model_takes_and_may_write_into_it(
    world: World, source: Path
) -> None:
    predictor = serve(world, {"before": {"function": "around:written"}})
    sent = plain(30.0)
    assert predictor.predict(sent).outputs.tolist() == pytest.approx([0.6])
    assert sent["x"].tolist() == [30.0]


def test_nonsense_is_the_request_s_own_fault_and_harms_no_other(world: World, source: Path) -> None:
    from everloop.serving.request import PredictionRequest

    predictor = serve(world, HOURS)
    bad, good = predictor.predict_all([PredictionRequest(hours("none")), PredictionRequest(hours("ab"))])
    assert isinstance(bad, InvalidInput)
    assert "there is no hour 'none'" in bad.message
    assert good.outputs.tolist() == pytest.approx([0.2])


@pytest.mark.parametrize("function", ["nothing", "broken", "fewer"])
def test_code_that_fails_is_a_failure_of_the_deployment(world: World, source: Path, function: str) -> None:
    predictor = serve(world, {"before": {"function": f"around:{function}"}})
    with pytest.raises(EverloopError, match="failed on every row"):
        predictor.predict(plain(1.0))


def test_a_fallback_answers_when_the_code_fails_and_the_log_says_so(world: World, source: Path) -> None:
    rule = {"kind": "rule", "expression": "x / 10"}
    predictor = serve(world, {"before": {"function": "around:broken"}, "fallback": rule})
    assert predictor.predict(plain(1.0)).outputs.tolist() == pytest.approx([0.1])
    found = world.call("endpoints.predictions", name="delay")
    assert {(one.role, one.output) for one in found} == {("fallback", 0.1), ("stable", None)}


def test_another_version_that_falls_in_is_asked_through_the_same_code(world: World, source: Path) -> None:
    world.register(constant=0.7)
    world.create()
    made = world.call(
        "endpoints.deploy",
        name="delay",
        version=world.register(raises=True),
        configuration=HOURS | {"fallback": {"kind": "version"}},
    )
    world.traffic((made.revision, 100, "stable"))
    assert world.predictor().predict(hours("ab")).outputs.tolist() == [0.7]


def test_a_canary_whose_code_fails_costs_nobody_an_answer(world: World, source: Path) -> None:
    world.register(factor=0.01)
    world.create()
    made = world.call("endpoints.deploy", name="delay", configuration={"before": {"function": "around:broken"}})
    world.traffic((1, 1, "stable"), (made.revision, 99, "canary"))
    answer = world.predictor().predict({"x": np.full(50, 20.0), "carrier": column(*["AA"] * 50)})
    assert answer.outputs.tolist() == pytest.approx([0.2] * 50)


def test_features_are_read_and_come_to_the_code(world: World, service: str, source: Path) -> None:
    source.write_text(
        "def faster(given):\n    return {**given, 'airport_weather.wind': given['airport_weather.wind'] * 2}\n"
    )
    world.register(service=service, input="airport_weather.wind", factor=0.01)
    world.create()
    deploy(world, before={"function": "around:faster"})
    from tests.serving.conftest import HOUR

    answer = world.predictor().predict({"origin": column("JFK"), "distance": column(1.0)}, at=HOUR)
    assert answer.outputs.tolist() == pytest.approx([0.2])


def test_explanations_are_of_what_the_model_saw(world: World, source: Path) -> None:
    from everloop.serving.request import PredictionRequest

    predictor = serve(world, HOURS)
    (answer,) = predictor.predict_all([PredictionRequest(hours("ab"), explain=True)])
    assert set(answer.explanations) == {"x", "carrier"}


def test_code_that_has_changed_since_is_refused_at_load(world: World, source: Path) -> None:
    serve(world, HOURS).close()
    source.write_text(SOURCE.replace("LEVEL = 10.0", "LEVEL = 20.0"))
    with pytest.raises(Refused, match="is not what it was") as refused:
        world.predictor()
    assert "Deploy anew" in refused.value.hint


def test_a_comment_changes_nothing(world: World, source: Path) -> None:
    serve(world, HOURS).close()
    source.write_text(f"# Tidied.\n{SOURCE}")
    assert world.predictor().predict(hours("ab")).outputs.tolist() == pytest.approx([0.2])


def test_changed_code_deployed_anew_is_another_deployment_and_the_same_is_the_same(world: World, source: Path) -> None:
    world.register(factor=0.01)
    world.create()
    first, again = deploy(world, **HOURS), deploy(world, **HOURS)
    source.write_text(SOURCE.replace("LEVEL = 10.0", "LEVEL = 20.0"))
    changed = deploy(world, **HOURS)
    assert (again, changed) == (first, first + 1)
    assert world.predictor().predict(hours("ab")).outputs.tolist() == pytest.approx([0.4])


def test_what_is_loaded_goes_on_when_its_code_changes_and_the_traffic_moves(world: World, source: Path) -> None:
    predictor = serve(world, HOURS)
    source.write_text(SOURCE.replace("LEVEL = 10.0", "LEVEL = 20.0"))
    world.traffic((2, 100, "stable"), (1, 0, "shadow"))
    assert predictor.refresh() == 3
    assert predictor.predict(hours("ab") | {"x": column(1.0)}).outputs.tolist() == pytest.approx([0.2])


def test_warm_up_rows_are_what_requests_bring(world: World, source: Path) -> None:
    serve(world, HOURS | {"warm_up": [{"hour": "abc"}]})
    with pytest.raises(InvalidInput, match="A warm-up row has x"):
        deploy(world, **HOURS, warm_up=[{"x": 1.0}])


def test_a_client_names_no_folder(world: World, source: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere.py").write_text("def columns(given):\n    return given\n")
    with pytest.raises(NotFound, match="elsewhere"):
        serve(world, {"before": {"function": "elsewhere:columns", "folder": str(tmp_path)}})


@pytest.mark.parametrize(
    ("configuration", "message"),
    [
        ({"before": {"function": "around:np.round"}}, "no function of the project"),
        ({"before": {"function": "around:LEVEL"}}, "no function of the project"),
        ({"inputs": INPUTS}, "no function takes them"),
        ({"before": HOURS["before"], "inputs": [{"name": "x", "type": "string"}]}, "model takes it as float64"),
        ({"before": HOURS["before"], "inputs": [{"name": "y", "type": "float64", "shape": [2]}]}, "an array"),
        ({"after": {"function": "around:rounded"}, "interval": 0.1}, "model's own answers"),
        ({"before": {"function": "os.system"}}, "function"),
    ],
)
def test_what_cannot_work_is_refused_when_it_is_deployed(
    world: World, source: Path, configuration: dict[str, object], message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        serve(world, configuration)


def test_answers_of_another_number_are_a_failure(world: World, source: Path) -> None:
    with pytest.raises(EverloopError, match="failed on every row"):
        serve(world, {"after": {"function": "around:one"}}).predict(plain(1.0))
