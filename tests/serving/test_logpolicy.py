"""The log's policy: what is kept of predictions, and how."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from everloop.kernel.errors import InvalidInput, Misconfigured, Unavailable
from everloop.serving.entities import Label, LogPolicy
from everloop.serving.inferencelog import LogReader, LogWriter
from everloop.serving.logkeys import SEALED, LogKeys
from everloop.serving.predictor import EndpointPredictor
from tests.serving.conftest import HOUR, World, column, plain

KEYS = [f"flight {number}" for number in range(400)]


def keyed(*keys: str) -> dict[str, np.ndarray]:
    return plain(*range(len(keys))) | {"flight_id": np.array(keys, dtype=object)}


def logged(world: World) -> list[dict[str, object]]:
    reader = LogReader(world.platform.resources.home, "default", "delay")
    return [row for batch in reader.since()[0] for row in batch.to_pylist()]


def under(world: World, **policy: object) -> EndpointPredictor:
    """A predictor of an endpoint with a policy."""
    world.register(constant=0.1)
    world.create(label_key="flight_id")
    world.call("endpoints.set_log_policy", name="delay", policy=LogPolicy(**policy))  # type: ignore[arg-type]  # Its fields.
    return world.predictor()


def test_a_part_of_the_keys_is_logged_and_all_are_answered(world: World) -> None:
    predictor = under(world, sample=0.25)
    assert len(predictor.predict(keyed(*KEYS)).outputs) == 400
    first = {row["key"] for row in logged(world)}
    assert 60 < len(first) < 140
    for key in KEYS:
        predictor.predict(keyed(key))
    assert {row["key"] for row in logged(world)} == first
    assert len(logged(world)) == 2 * len(first)


def test_what_is_sampled_says_nothing_about_the_variant(world: World) -> None:
    predictor = under(world, sample=0.5)
    world.canary(50, constant=0.9)
    predictor.refresh()
    predictor.predict(keyed(*KEYS))
    canaries = sum(row["role"] == "canary" for row in logged(world))
    assert 0.35 < canaries / len(logged(world)) < 0.65


def test_shadows_are_sampled_with_the_answers_beside_them(world: World) -> None:
    predictor = under(world, sample=0.5)
    world.call("endpoints.deploy", name="delay", version=world.register(constant=0.9))
    world.traffic((1, 100, "stable"), (2, 100, "shadow"))
    predictor.refresh()
    predictor.predict(keyed(*KEYS))
    by_role = {role: [r["key"] for r in logged(world) if r["role"] == role] for role in ("stable", "shadow")}
    assert by_role["stable"] == by_role["shadow"]
    assert 0 < len(by_role["stable"]) < 400


def test_a_request_of_which_nothing_or_a_part_is_logged_is_not_recognised(world: World) -> None:
    predictor = under(world, sample=0.5)
    predictor.predict(keyed(*KEYS), "r1")
    for one in (predictor, world.predictor()):
        again = one.predict(keyed(*KEYS), "r1")
        assert (again.replayed, len(again.outputs)) == (False, 400)


def test_nothing_is_logged_at_a_sample_of_zero(world: World) -> None:
    assert len(under(world, sample=0).predict(keyed("a", "b"), "r1").outputs) == 2
    assert logged(world) == []


def test_columns_are_left_out(world: World) -> None:
    predictor = under(world, without=("carrier",))
    predictor.predict(keyed("a"))
    assert "feature:x" in logged(world)[0]
    assert "feature:carrier" not in logged(world)[0]


def test_the_labels_key_cannot_be_left_out(world: World) -> None:
    under(world)
    for policy in (LogPolicy(without=("flight_id",)), LogPolicy(encrypted=("flight_id",))):
        with pytest.raises(InvalidInput, match="pseudonyms"):
            world.call("endpoints.set_log_policy", name="delay", policy=policy)


def test_units_are_logged_under_other_names_and_labels_still_join(world: World) -> None:
    predictor = under(world, pseudonyms=True)
    answer = predictor.predict(keyed("UA1", "AA2", ""))
    names = [str(row["key"]) for row in logged(world)]
    assert "UA1" not in str(logged(world))
    assert len(names[0]) == 32
    assert names[2] == answer.prediction_ids[2]
    predictor.feedback([Label("UA1", 1.0)])
    world.call("endpoints.feedback", name="delay", labels=[Label("AA2", 0.0), Label(answer.prediction_ids[2], 1.0)])
    found = [world.call("endpoints.prediction", name="delay", id=one).label for one in answer.prediction_ids]
    assert found == [1.0, 0.0, 1.0]


def test_a_unit_stays_with_its_variant_under_another_name(world: World) -> None:
    predictor = under(world)
    world.canary(50, constant=0.9)
    predictor.refresh()
    before = predictor.predict(keyed(*KEYS)).deployments.tolist()
    world.call("endpoints.set_log_policy", name="delay", policy=LogPolicy(pseudonyms=True))
    predictor.refresh()
    assert predictor.predict(keyed(*KEYS)).deployments.tolist() == before


def test_entities_are_logged_under_other_names_wherever_they_stand(world: World, service: str) -> None:
    world.register(service=service, input="airport_weather.wind", factor=0.01)
    world.create()
    world.call("endpoints.set_log_policy", name="delay", policy=LogPolicy(pseudonyms=True))
    world.predictor().predict({"distance": column(7.0), "origin": np.array(["LGA"], dtype=object)}, at=HOUR)
    row = logged(world)[0]
    assert row["entity:origin"] == row["feature:origin"] != "LGA"
    assert row["feature:airport_weather.wind"] == 20.0


def test_sealed_values_are_opened_only_for_who_may(world: World) -> None:
    predictor = under(world, encrypted=("x", "carrier"))
    id = predictor.predict(keyed("a", "b")).prediction_ids[1]
    row = logged(world)[1]
    assert str(row["feature:x"]).startswith(SEALED)
    assert str(world.call("endpoints.prediction", name="delay", id=id).features["carrier"]).startswith(SEALED)
    assert world.call("endpoints.reveal", name="delay", id=id).features == {"x": 1.0, "carrier": "AA"}


def test_a_subject_is_found_under_another_name_and_under_a_seal(world: World) -> None:
    from everloop.datasets.splits.entities import Subject
    from everloop.serving.subjects import LoggedSubjects

    predictor = under(world, pseudonyms=True, encrypted=("carrier",))
    predictor.predict(keyed("UA1"))
    predictor.feedback([Label("UA1", 1.0)])
    session = world.platform.session()
    seen = {
        one.where if hasattr(one, "where") else str(one)
        for one in LoggedSubjects().find(session, Subject("flight_id", "UA1"))
    }
    assert len(seen) == 2
    assert [one.count for one in LoggedSubjects().find(session, Subject("carrier", "AA"))] == [1]
    assert LoggedSubjects().find(session, Subject("flight_id", "UA2")) == []


def test_a_policy_is_an_event(world: World) -> None:
    under(world, sample=0.5)
    assert world.call("endpoints.get", name="delay").log == LogPolicy(sample=0.5)


@pytest.mark.parametrize(("failure", "answers"), [("refuse", False), ("answer", True)])
def test_a_full_disk_is_what_the_policy_says(
    world: World, monkeypatch: pytest.MonkeyPatch, failure: str, answers: bool
) -> None:
    def full(self: LogWriter, batches: object) -> None:
        raise Unavailable("The disk is full.")

    predictor = under(world, failure=failure)
    monkeypatch.setattr(LogWriter, "append_all", full)
    if answers:
        assert predictor.predict(keyed("a"), "r1").outputs.tolist() == [0.1]
    else:
        with pytest.raises(Unavailable, match="full"):
            predictor.predict(keyed("a"), "r1")
    monkeypatch.undo()
    assert not predictor.predict(keyed("a"), "r1").replayed


def test_keys_are_made_once_and_only_their_owner_reads_them(tmp_path: Path) -> None:
    one, other = LogKeys(tmp_path / "keys" / "k"), LogKeys(tmp_path / "keys" / "k")
    assert one.pseudonym("a") == other.pseudonym("a") != one.pseudonym("b")
    assert stat.S_IMODE((tmp_path / "keys" / "k").stat().st_mode) == 0o600


def test_a_new_key_seals_and_the_old_one_still_opens(tmp_path: Path) -> None:
    keys = LogKeys(tmp_path / "k")
    before, name = keys.seal("secret", "x"), keys.pseudonym("a")
    keys.rotate()
    after = keys.seal("secret", "x")
    assert before.split(":")[1] != after.split(":")[1]
    assert keys.open(before, "x") == keys.open(after, "x") == "secret"
    assert keys.pseudonym("a") == name


def test_a_sealed_value_that_was_moved_or_changed_is_refused(tmp_path: Path) -> None:
    keys = LogKeys(tmp_path / "k")
    sealed = keys.seal("secret", "x")
    for text, about in ((sealed, "y"), (sealed[:-2] + "AA", "x"), (sealed + "!", "x")):
        with pytest.raises(InvalidInput):
            keys.open(text, about)
    with pytest.raises(Misconfigured, match="no key"):
        keys.open(f"{SEALED}00000000:AAAA", "x")


@pytest.mark.parametrize(("durability", "syncs"), [("sync", 2), ("write", 0)])
def test_what_need_not_outlive_a_power_cut_is_written_and_not_synced(
    world: World, monkeypatch: pytest.MonkeyPatch, durability: Literal["sync", "write"], syncs: int
) -> None:
    predictor = under(world, durability=durability)
    synced: list[int] = []
    monkeypatch.setattr(os, "fdatasync", synced.append)
    for key in "ab":
        predictor.predict(keyed(key))
    assert len(synced) == syncs
    assert [row["key"] for row in logged(world)] == ["a", "b"]
