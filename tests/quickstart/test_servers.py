"""The same platform on PostgreSQL, S3 and Redis at once, by nothing but URLs."""

from __future__ import annotations

from pathlib import Path

import pytest

from everloop.app import doctor
from everloop.kernel.errors import error_of
from everloop.serving.freshness import FeatureKeeper
from tests.quickstart.conftest import Site
from tests.server.hostile import in_python, marks, play, wrong_calls

pytestmark = pytest.mark.slow


def test_neither_data_nor_catalog_is_in_the_home(site: Site) -> None:
    site.predict("a-log")
    assert {path.name for path in site.platform.resources.home.iterdir()} <= {"cache", "inference", "executions"}


def test_a_second_run_executes_nothing_on_another_machine_too(site: Site, tmp_path: Path) -> None:
    first = site.call("pipelines.executions", pipeline="fit")[-1]
    other = site.another(tmp_path / "home")
    again = other.call("pipelines.run", {"name": "fit", "arguments": first.arguments})
    other.close()
    assert [step.hit for step in again.steps] == [True, True]
    assert again.output == first.output


def test_an_endpoint_answers_with_features_out_of_redis(site: Site) -> None:
    assert FeatureKeeper(site.platform.session()).keep() >= 0
    answer = site.predict("b-one", "request-1")
    record = site.call("endpoints.prediction", name="late", id=answer.prediction_ids[0])
    assert isinstance(record.features["depots.queue"], float)
    assert site.predict("b-one", "request-1").prediction_ids == answer.prediction_ids


def test_a_prediction_is_traced_to_bytes_in_the_bucket_and_to_its_label(site: Site) -> None:
    answer = site.predict("c-one")
    label = {"key": "c-one", "value": 1.0}
    assert site.call("endpoints.feedback", name="late", labels=[label]).accepted == 1
    found = {step.urn: step for step in site.call("loops.trace", what=answer.prediction_ids[0]).steps}
    assert "label:parcels/late@c-one" in found
    assert found["dataset:parcels/parcels@1"].facts["held"] == "the store has them"


def test_the_loop_ticks_retrains_rolls_out_and_goes_back(site: Site) -> None:
    site.call("loops.tick", name="late")
    site.call("loops.propose", name="late", skip_gates=True, reason="To see.")
    report = site.call("loops.tick", name="late")
    assert report.candidate is not None
    assert report.candidate.status == "rolling_out"
    status = site.call("loops.rollback", name="late", reason="It was only to see.")
    assert (status.champion, status.candidate) == (1, None)


def test_the_champion_is_reproduced_in_a_fresh_process(site: Site) -> None:
    assert site.call("loops.reproduce", model="late", version=1).equal


def test_a_package_is_built_and_verified(site: Site) -> None:
    assert site.call("packages.build", model="late").size > 1_000
    assert site.call("packages.verify", model="late").passed


def test_what_anything_refers_to_is_kept_and_the_ledger_is_intact(site: Site) -> None:
    site.call("store.gc", dry_run=False, grace="0s")
    assert site.call("datasets.preview", name="parcels", limit=1)
    assert site.predict("d-one").outputs.shape == (1,)
    assert site.call("audit.verify").intact


def test_doctor_finds_the_servers_well(site: Site) -> None:
    findings = {finding.name: finding for finding in doctor.examine(site.platform.settings)}
    assert [findings[name].state for name in ("catalog", "store", "online store", "ledger")] == ["ok"] * 4, findings


def test_what_postgresql_cannot_keep_is_refused_and_leaves_no_trace(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # Some of it names folders to export to.
    endless = [wrong for wrong in wrong_calls(play(site.platform)) if "x" * 1_000 in str(wrong.arguments)][::2]
    assert len(endless) > 50
    for wrong in endless:
        before = marks(site.platform)
        problem = in_python(site.platform, wrong)
        assert problem is None or (error_of(problem).status < 500 and marks(site.platform) == before), (wrong, problem)
