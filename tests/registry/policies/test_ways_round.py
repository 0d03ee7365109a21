"""Ways round four eyes that somebody alone could try: none of them leads to a guarded alias."""

from __future__ import annotations

import pytest

from everloop.app.platform import Platform
from everloop.kernel.errors import NotFound, Refused
from everloop.registry import imports
from everloop.registry import service as models
from everloop.registry.policies.entities import ApprovalMissing
from everloop.tracking.imports.entities import ForeignRegistered, ForeignVersion, Untaken
from tests.registry.making import ANN, BOB, registered_by
from tests.registry.policies.test_four_eyes import approve, call, guarded


def champion(platform: Platform, version: int = 1, name: str = "delay", alias: str = "champion") -> object:
    """Ann lets the champion be a version."""
    return call(platform, "models.set_alias", ANN, name=name, alias=alias, version=version)


def approved_champion(platform: Platform, **policy: object) -> None:
    """A first version of Ann's that Bob has approved and that is the champion."""
    registered_by(platform, ANN)
    guarded(platform, **policy)
    approve(platform, BOB)
    champion(platform)


def test_deleting_the_alias_and_setting_it_anew_asks_again(platform: Platform) -> None:
    approved_champion(platform)
    registered_by(platform, ANN)
    call(platform, "models.delete_alias", ANN, name="delay", alias="champion")
    with pytest.raises(ApprovalMissing, match="delay@2 lacks"):
        champion(platform, 2)


def test_other_bytes_under_an_approved_name_ask_again(platform: Platform) -> None:
    approved_champion(platform)
    registered_by(platform, ANN, metrics={"auc": 1.0})
    with pytest.raises(ApprovalMissing, match="delay@2 lacks"):
        champion(platform, 2)
    with pytest.raises(Refused, match="in use"):
        call(platform, "models.delete_version", ANN, name="delay", version=1, reason="make room")


@pytest.mark.parametrize("policy", [{}, {"model": "delay"}])
def test_a_model_that_is_deleted_and_made_again_is_guarded_as_before(
    platform: Platform, policy: dict[str, str]
) -> None:
    approved_champion(platform, **policy)
    call(platform, "models.delete_alias", ANN, name="delay", alias="champion")
    call(platform, "models.delete", ANN, name="delay")
    assert registered_by(platform, ANN) == 2
    with pytest.raises(ApprovalMissing, match="delay@2 lacks"):
        champion(platform, 2)


def test_a_model_with_a_policy_of_its_own_keeps_its_title(platform: Platform) -> None:
    approved_champion(platform, model="delay")
    with pytest.raises(Refused, match="policy of its own"):
        call(platform, "models.rename", ANN, name="delay", title="Something else")
    call(platform, "models.rename", ANN, name="delay", title="delay")
    call(platform, "models.delete_policy", BOB, model="delay")
    assert call(platform, "models.rename", ANN, name="delay", title="Late").title == "Late"  # type: ignore[attr-defined]


def test_a_renamed_model_is_guarded_by_the_policy_of_the_project(platform: Platform) -> None:
    approved_champion(platform)
    call(platform, "models.rename", ANN, name="delay", title="Late flights")
    with platform.session(ANN).begin() as unit:
        assert models.make(unit, "delay").name != "delay"  # Whom MLflow's clients mean by `delay` from now on.
    registered_by(platform, ANN)
    with pytest.raises(ApprovalMissing):
        champion(platform, 2)


def brought(platform: Platform, author: str, stage: str = "None", **aliases: int) -> list[Untaken]:
    """Ann brings a model of elsewhere whose only version names an author; what was not taken."""
    at = platform.resources.clock.now()
    version = ForeignVersion(1, at, "s3://b/m", author=author, stage=stage)
    foreign = ForeignRegistered("delay", at, "", {}, aliases, (version,))
    return imports.bring(platform.session(ANN), [foreign]).untaken


def test_who_brings_a_version_cannot_approve_it_as_somebody_elses(platform: Platform) -> None:
    guarded(platform)
    told = brought(platform, "carla", champion=1)
    assert [it.what for it in told if "alias" in it.what] == ["alias champion of version 1"]
    approve(platform, ANN)
    with pytest.raises(ApprovalMissing):
        champion(platform)
    approve(platform, BOB)
    champion(platform)


def test_a_brought_version_stands_in_no_guarded_stage(platform: Platform) -> None:
    guarded(platform)
    told = brought(platform, "carla", stage="Production")
    assert "stage Production of version 1" in [it.what for it in told]
    known = platform.call("models.version", {"name": "delay", "version": 1})
    assert (known.stage, known.author) == ("None", "ann")
    assert platform.call("models.tags", {"name": "delay", "version": 1})["mlflow.user"] == "carla"
    with pytest.raises(NotFound):
        platform.call("models.version", {"name": "delay", "alias": "production"})
