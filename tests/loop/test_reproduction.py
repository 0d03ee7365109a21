"""Proof that a model can be made again."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from everloop.kernel.errors import NotFound
from everloop.loop.entities import Replay, ReplayedStep
from everloop.loop.reproduction import compared
from everloop.pipelines.entities import Execution, StepExecution
from everloop.registry.entities import Model, ModelVersion, Signature
from everloop.store.entities import Digest
from tests.loop.world import World

NOW = datetime(2026, 1, 1, tzinfo=UTC)
STEP = StepExecution("train", 0, "k", False, 1.0, "d1", "", 1)
EXECUTION = Execution("e", "fit", {}, "finished", "r", None, (STEP,), NOW)
VERSION = ModelVersion("late", 1, Model("curve", Digest("m1"), Signature((), ())), "r", "", NOW)
SAME = Replay((ReplayedStep("train", "d1"),), "m1", {"python": "3.11"})


def test_equal_digests_of_every_step_and_of_the_model_are_proof() -> None:
    found = compared(VERSION, EXECUTION, {"python": "3.11"}, SAME)
    assert (found.equal, found.reason, found.environment) == (True, "", ())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model_digest": "m2"}, "The model's files differ."),
        ({"steps": (ReplayedStep("train", "d2"),)}, "These steps gave something else: train."),
        ({"steps": (ReplayedStep("train", ""),)}, "gave something else: train."),
        ({"steps": ()}, "gave something else: train."),
        ({"steps": (ReplayedStep("train", "d1"), ReplayedStep("more", "d3"))}, "gave something else: more."),
    ],
)
def test_anything_that_differs_or_was_not_compared_is_none(change: dict[str, object], said: str) -> None:
    found = compared(VERSION, EXECUTION, {}, msgspec.structs.replace(SAME, **change))
    assert not found.equal
    assert said in found.reason


def test_an_execution_without_steps_proves_nothing() -> None:
    empty = msgspec.structs.replace(EXECUTION, steps=())
    assert not compared(VERSION, empty, {}, msgspec.structs.replace(SAME, steps=())).equal


def test_differences_of_the_environment_are_told_and_do_not_decide() -> None:
    found = compared(VERSION, EXECUTION, {"python": "3.10", "package numpy": "2.0"}, SAME)
    assert found.equal
    assert [(one.what, one.before, one.after) for one in found.environment] == [
        ("package numpy", "2.0", ""),
        ("python", "3.10", "3.11"),
    ]


def test_a_replay_executes_every_step_and_gives_the_same(world: World) -> None:
    execution = world.call("pipelines.run", name="fit", arguments={"until": world.clock.now().isoformat()})
    replayed = world.call("loops.replay", execution=execution.id)
    assert [step.digest for step in replayed.steps] == [step.output_digest for step in execution.steps]
    assert world.call("pipelines.executions", limit=1)[0].executed == ["split", "train"]


def test_a_version_that_no_pipeline_made_cannot_be_reproduced(world: World) -> None:
    world.tick()
    version = world.call("models.version", name="late")
    world.call("models.register", name="foreign", trained=version.trained)
    with pytest.raises(NotFound, match=r"No execution .* for foreign@1"):
        world.call("loops.reproduce", model="foreign")


@pytest.mark.slow
def test_a_version_is_made_again_in_a_fresh_process_with_every_digest_equal(boosted: World) -> None:
    found = boosted.call("loops.reproduce", model="late", alias="champion")
    assert found.equal, found.reason
    assert [step.name for step in found.steps] == ["split", "boost"]


@pytest.mark.slow
def test_code_that_has_changed_since_does_not_reproduce(boosted: World) -> None:
    source = boosted.folder / "loop_boosted.py"
    source.write_text(source.read_text().replace('"num_leaves": 4', '"num_leaves": 5'))
    found = boosted.call("loops.reproduce", model="late", version=1)
    assert not found.equal
    assert found.reason == "The model's files differ. These steps gave something else: boost."
