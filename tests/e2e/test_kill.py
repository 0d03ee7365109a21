"""kill -9 of every process of the demo, again and again: it goes on, nothing is lost, and nothing happens twice.

The controller lives in the demo's own process; the endpoint and the server are its children. What a demo comes to does
not depend on how often it was killed: ticks happen at the same simulated moments, a request that comes again gets the
logged answer, a label counts once, and training goes on from the memo.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from random import Random

import msgspec
import pyarrow.compute as pc
import pytest

from everloop.app.platform import Platform, open_platform
from everloop.app.settings import load
from everloop.registry.save import load_model
from tests.e2e.conftest import MONTHS
from tests.e2e.life import PATIENCE, Life, everloop

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

BEGINS = datetime(2013, 3, 1, 5, tzinfo=UTC)
SEED = 20130301
LOOK_SECONDS = 0.01


class Blow(msgspec.Struct, frozen=True):
    """When to kill what: once it `is_due`, and some seconds later."""

    name: str
    is_due: Callable[[Life], bool]
    victim: str
    later: float


def blows(random: Random) -> list[Blow]:
    """The moments, in the order in which a demo comes to them."""

    def at(low: int, high: int) -> Callable[[Life], bool]:
        moment = BEGINS + timedelta(hours=random.uniform(low * 24, high * 24))
        return lambda life: (life.now() or BEGINS) >= moment

    def stands(status: str, number: int) -> Callable[[Life], bool]:
        return lambda life: [status for status, _ in life.candidates()][number - 1 : number] == [status]

    def exists(life: Life) -> bool:
        return (life.home / "catalog.db").exists()

    return [
        Blow("the data is read", exists, "demo", random.uniform(0.5, 3)),
        Blow("the first model is trained", stands("training", 1), "demo", random.uniform(0, 1.5)),
        Blow("the first days", at(0, 5), "serve", 0),
        Blow("days later", at(5, 9), "server", 0),
        Blow("in the second week", at(9, 14), "demo", 0),
        Blow("the replay goes on", at(14, 18), "serve", random.uniform(0, 0.1)),
        Blow("a challenger is trained", stands("training", 2), "demo", random.uniform(0, 2)),
        Blow("a challenger is rolled out", stands("rolling_out", 2), "serve", random.uniform(0, 0.3)),
        Blow("it is rolled out further", stands("rolling_out", 2), "demo", random.uniform(0, 1)),
        Blow("the account is made", at(31 + 4, 31 + 4), "demo", random.uniform(0.5, 2)),
    ]


def befall(life: Life, blow: Blow) -> bool:
    """Wait for the moment of a blow and strike; False when the demo ends before it comes."""
    end = time.monotonic() + PATIENCE
    while not blow.is_due(life):
        assert time.monotonic() < end, f"{blow.name}: it never comes to that"
        if life.over:
            return False
        time.sleep(LOOK_SECONDS)
    time.sleep(blow.later)
    if life.over:
        return False
    if blow.victim != "demo":
        return life.kill_child(blow.victim)
    life.kill()
    life.start()
    return True


@pytest.fixture(scope="module")
def struck(tmp_path_factory: pytest.TempPathFactory) -> tuple[Life, list[str]]:
    """A life that went on through every blow, and the blows that met it."""
    life = Life(tmp_path_factory.mktemp("struck") / "home", MONTHS)
    life.start()
    met = [blow.name for blow in blows(Random(SEED)) if befall(life, blow)]
    life.finish()
    return life, met


@pytest.fixture(scope="module")
def survived(struck: tuple[Life, list[str]]) -> Life:
    """That life."""
    return struck[0]


@pytest.fixture(scope="module")
def platform(survived: Life) -> Platform:
    """What it left, opened."""
    return open_platform(load({"home": str(survived.home)}, environment={}, folder=survived.home))


def test_it_was_struck_often(struck: tuple[Life, list[str]]) -> None:
    assert len(struck[1]) >= 8, struck[1]


def test_each_flight_was_answered_once(lived: Life, survived: Life) -> None:
    assert sorted(survived.log["key"].to_pylist()) == sorted(lived.log["key"].to_pylist())


def test_each_prediction_has_an_id_of_its_own(survived: Life) -> None:
    assert len(pc.unique(survived.log["prediction_id"])) == survived.log.num_rows


def test_each_answer_is_the_one_that_an_undisturbed_endpoint_gave(lived: Life, survived: Life) -> None:
    columns = ["key", "at", "output", "model_version", "deployment", "role"]
    before, after = (life.log.select(columns).sort_by("key") for life in (lived, survived))
    assert before.equals(after)


def test_each_label_was_kept_once(lived: Life, survived: Life) -> None:
    columns = ["key", "value", "at"]
    before, after = (life.labels.select(columns).sort_by("key") for life in (lived, survived))
    assert before.equals(after)


def test_the_account_is_that_of_an_undisturbed_demo(lived: Life, survived: Life) -> None:
    same = ("predictions", "labels", "retrains", "promoted", "stopped_candidates", "monthly", "rollbacks", "alarms")
    for name in same:
        assert survived.account[name] == lived.account[name], name
    assert survived.account["reproduced"]
    assert survived.account["skew_differing"] == 0


def test_the_data_are_those_of_an_undisturbed_demo(lived: Life, survived: Life) -> None:
    before, after = lived.account["data"], survived.account["data"]
    differ = {name for name in after if after[name] != before[name]}
    assert differ <= {"copy", "keeping"}, "what a killed writer left may lie there until it is swept"
    assert after["copy"]["equal"] == before["copy"]["equal"]
    assert after["keeping"]["whole"]
    assert after["keeping"]["versions"] == before["keeping"]["versions"]


def test_the_ledger_is_intact(survived: Life) -> None:
    assert everloop("audit", "verify", "--json", home=survived.home).json["intact"]
    assert survived.account["audit_verified"]


def test_candidates_and_versions_belong_together(survived: Life, platform: Platform) -> None:
    candidates = survived.candidates()
    assert {status for status, _ in candidates} <= {"promoted", "refused", "rolled_back"}
    registered = [version for _, version in candidates if version]
    versions = platform.call("models.versions", {"name": "delay"})
    assert sorted(one.version for one in versions) == sorted(registered) == list(range(1, len(versions) + 1))
    assert all(load_model(platform.session(), one.trained).inputs for one in versions)


def test_there_is_one_champion_and_all_traffic_goes_to_it(platform: Platform) -> None:
    (champion,) = (one for one in platform.call("models.aliases", {"name": "delay"}) if one.alias == "champion")
    endpoint = platform.call("endpoints.get", {"name": "delay"})
    versions = {one.revision: one.version for one in platform.call("endpoints.deployments", {"name": "delay"})}
    traffic = {versions[share.deployment]: share.percent for share in endpoint.traffic if share.percent}
    assert traffic == {champion.version: 100.0}
    for change in platform.call("endpoints.traffic_history", {"name": "delay"}):
        assert sum(share.percent for share in change.traffic if share.role != "shadow") == 100.0


def test_no_rollout_and_no_run_is_left_half_done(platform: Platform) -> None:
    rollouts = platform.call("rollouts.list", {"endpoint": "delay"})
    assert {rollout.status for rollout in rollouts} <= {"promoted", "rolled_back"}
    executions = platform.call("pipelines.executions", {})
    assert {execution.status for execution in executions} <= {"finished", "failed"}
    assert sum(execution.status == "finished" for execution in executions) >= len(rollouts) + 1


def test_steps_that_had_finished_were_not_executed_again(survived: Life) -> None:
    per_memo = survived.rows(
        "SELECT memo_key, count(*) FROM step_executions WHERE NOT hit AND error = '' GROUP BY memo_key"
    )
    reproduced = 5
    assert sum(int(str(times)) - 1 for _, times in per_memo) <= reproduced


def test_the_home_can_be_opened_and_asked_by_anybody(survived: Life) -> None:
    with closing(open_platform(load({"home": str(survived.home)}, environment={}, folder=survived.home))) as opened:
        assert opened.call("loops.status", {"name": "delay"}).candidate is None
