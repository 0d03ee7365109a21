"""From a prediction to the bytes, and from the bytes to what became of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from everloop.kernel.errors import InvalidInput, NotFound
from everloop.loop.entities import Trace, TraceStep
from everloop.loop.tracing import rendered
from tests.loop.conftest import lived
from tests.loop.world import World


@pytest.fixture(scope="module")
def canary(first_day: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which the toy's loop is in the middle of a canary."""
    home = tmp_path_factory.mktemp("canary") / "home"
    with lived(first_day, home) as world:
        world.live(4)
    return home


@pytest.fixture
def told(canary: Path, tmp_path: Path) -> Iterator[World]:
    """The toy's loop in the middle of a canary."""
    with lived(canary, tmp_path / "told") as world:
        yield world


def kinds(trace: Trace) -> list[str]:
    return [step.urn.partition(":")[0] for step in trace.steps]


def a_prediction(world: World, version: int) -> str:
    """A labelled prediction that a version made."""
    records = world.call("endpoints.predictions", name="late", limit=1000)
    return next(one.id for one in records[60:] if one.model_version == version)


def test_a_prediction_leads_to_its_label_model_run_execution_and_data(told: World) -> None:
    trace = told.call("loops.trace", what=a_prediction(told, 1))
    assert kinds(trace)[:2] == ["prediction", "label"]
    order = [kind for kind in kinds(trace) if kind in ("deployment", "model", "run", "execution", "dataset")]
    assert order[:5] == ["deployment", "model", "run", "execution", "dataset"]


def test_the_way_ends_at_bytes_that_the_store_has(told: World) -> None:
    trace = told.call("loops.trace", what=a_prediction(told, 1))
    source = next(step for step in trace.steps if step.urn == "dataset:default/parcels@1")
    snapshot = told.call("datasets.get", name="parcels")
    assert snapshot.digest in source.facts["bytes"]
    assert source.facts["held"] == "the store has them"


def test_a_prediction_tells_its_features_and_its_rollout(told: World) -> None:
    trace = told.call("loops.trace", what=a_prediction(told, 2))
    assert "weight=" in trace.steps[0].facts["features"]
    assert "canary variant" in trace.steps[0].facts["met"]
    assert "rollout" in kinds(trace)


def test_each_thing_is_told_once(told: World) -> None:
    trace = told.call("loops.trace", what=a_prediction(told, 1))
    assert len({step.urn for step in trace.steps}) == len(trace.steps)


def test_running_a_pipeline_again_does_not_lengthen_the_trace(told: World) -> None:
    before = told.call("loops.trace", what="model:default/late@1")
    execution = told.call("pipelines.executions")[-1]
    told.call("pipelines.run", name="fit", arguments=execution.arguments)
    told.call("loops.replay", execution=execution.id)
    assert told.call("loops.trace", what="model:default/late@1") == before


def test_a_models_candidate_and_decision_are_told(told: World) -> None:
    facts = told.call("loops.trace", what="model:default/late@1").steps[0].facts
    assert "number 1 of loop late (first)" in facts["candidate"]
    assert facts["decision"].startswith("approved by ")


def test_a_predictions_urn_is_as_good_as_its_id(told: World) -> None:
    id = a_prediction(told, 1)
    assert told.call("loops.trace", what=f"prediction:default/late@{id}") == told.call("loops.trace", what=id)


def test_a_dataset_leads_forward_to_models_and_counts_their_predictions(told: World) -> None:
    trace = told.call("loops.trace", what="dataset:default/parcels@1", forward=True)
    served = {step.urn: step.facts.get("predictions") for step in trace.steps if step.urn.startswith("deployment:")}
    assert set(served) == {"deployment:default/late@1", "deployment:default/late@2"}
    assert all(int(str(count).replace(",", "")) > 0 for count in served.values())


@pytest.mark.parametrize(
    ("what", "error"),
    [
        ("0" * 32 + "-0", NotFound),
        ("model:default/ghost@1", NotFound),
        ("model:default/late@newest", NotFound),
        ("prediction:default/late@" + "0" * 32 + "-0", NotFound),
        ("model:elsewhere/late@1", InvalidInput),
        ("what is this", InvalidInput),
    ],
)
def test_what_is_not_there_is_told_plainly(told: World, what: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        told.call("loops.trace", what=what)


def test_a_trace_is_drawn_as_a_tree() -> None:
    steps = (
        TraceStep(0, "", "model:p/late@1", {"files": "abc"}),
        TraceStep(1, "made_by", "run:p/r"),
    )
    assert rendered(Trace("model:p/late@1", "upstream", steps)) == (
        "model:p/late@1\n      files: abc\n   └─ made_by run:p/r"
    )
