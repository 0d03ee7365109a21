"""The demo as a user runs it: what its account says is what happened, and can be shown."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from random import Random

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from everloop.app.platform import open_platform
from everloop.app.settings import load
from everloop.datasets import content
from tests.e2e.life import Life, alive, children_of, everloop, plain, words_of
from tests.servers import free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ASKED_FOR = {
    "predictions": int,
    "retrains": int,
    "promoted": list,
    "stopped_candidates": list,
    "monthly": list,
    "reproduced": bool,
    "audit_verified": bool,
    "seconds": float,
    "peak_memory_mb": float,
    "home": str,
}


@pytest.fixture(scope="module")
def schedule(lived: Life) -> pa.Table:
    """The flights of the months, with the truth beside them."""
    platform = open_platform(load({"home": str(lived.home)}, environment={}, folder=lived.home))
    session = platform.session()
    rows = content.read_table(session, content.snapshot_of(session, "schedule"))
    platform.close()
    month = rows["month"]
    return rows.filter(pc.and_(pc.greater_equal(month, 3), pc.less(month, 3 + lived.months)))


class TestTheAccount:
    def test_it_says_everything_that_was_asked_for(self, lived: Life) -> None:
        assert {name: type(lived.account[name]) for name in ASKED_FOR} == ASKED_FOR
        assert {"month", "policy", "roc_auc", "log_loss", "n"} <= set(lived.account["monthly"][0])
        assert {(one["month"], one["policy"]) for one in lived.account["monthly"]} == {(3, "never"), (3, "loop")}

    def test_everything_came_out_as_it_must(self, lived: Life) -> None:
        account = lived.account
        assert (account["reproduced"], account["audit_verified"]) == (True, True)
        assert (account["memo_executed"], account["skew_differing"]) == (0, 0)
        assert account["memo_hits"] == 5
        assert account["skew_compared"] > 100_000
        assert account["peak_memory_mb"] < 3_000
        assert Path(account["home"]) == lived.home

    def test_progress_goes_to_standard_error(self, lived: Life) -> None:
        assert lived.printed.read_text().count("\n") == 1
        assert "The year goes by" in lived.said.read_text()

    def test_its_figures_are_those_of_the_log(self, lived: Life, schedule: pa.Table) -> None:
        from sklearn.metrics import log_loss, roc_auc_score

        truth = dict(zip(schedule["flight_id"].to_pylist(), schedule["late"].to_pylist(), strict=True))
        told = set(lived.labels["key"].to_pylist())
        judged = [
            (truth[key], output)
            for key, output in zip(lived.log["key"].to_pylist(), lived.log["output"].to_pylist(), strict=True)
            if key in told
        ]
        labels, scores = np.array(judged).T
        (month,) = (one for one in lived.account["monthly"] if one["policy"] == "loop")
        assert month["n"] == len(judged) == lived.account["labels"]
        assert month["roc_auc"] == pytest.approx(roc_auc_score(labels, scores), abs=1e-9)
        assert month["log_loss"] == pytest.approx(log_loss(labels, scores), abs=1e-9)


class TestTheData:
    def test_the_year_came_in_month_by_month_and_july_twice(self, lived: Life) -> None:
        data = lived.account["data"]
        assert data["received"] == 2 + 12 + 1
        assert [one["note"] for one in data["taken"]] == [f"2013-{month:02}" for month in range(1, 13)]
        assert data["taken"][-1]["rows"] == 336_776
        assert all(one["added_bytes"] < 600_000 for one in data["taken"])

    def test_what_is_wrong_did_not_get_in(self, lived: Life) -> None:
        data = lived.account["data"]
        (refused,), (aside,) = data["refused"], data["quarantined"]
        assert refused["delivery"] == "2013-07, distances in kilometres"
        assert "mean of distance is no outlier" in refused["reason"]
        assert (aside["dataset"], aside["rows"], aside["reasons"]) == ("weather", 1, "wind_speed is from 0 to 120")
        assert "refused" in lived.said.read_text()

    def test_everything_is_proved_and_the_same_elsewhere(self, lived: Life) -> None:
        data = lived.account["data"]
        assert data["splits_proved"] == data["splits"] > 0
        assert data["copy"]["equal"] == {"planes": True, "flights": True, "departures": True}
        assert (data["correction"]["changed_rows"], data["correction"]["merged"]) == (557, [3, 2])
        assert data["subject"]["rows"] == 111

    def test_the_store_is_whole_and_only_the_refused_month_is_dead(self, lived: Life) -> None:
        kept = lived.account["data"]["keeping"]
        assert kept["whole"]
        assert kept["bytes"] < kept["logical_bytes"] / 5
        assert kept["dead_bytes"] < 600_000

    def test_what_the_champion_was_trained_on_has_a_name(self, lived: Life) -> None:
        name, _, tag = lived.account["data"]["tagged"].partition("@")
        (found,) = everloop("datasets", "tags", name, "--json", home=lived.home).json
        assert (found["name"], tag) == (tag, f"delay-{lived.account['promoted'][-1]['version']}")

    def test_each_copy_can_be_looked_into(self, lived: Life) -> None:
        second = lived.home / "elsewhere" / "home"
        there = everloop("datasets", "get", "flights", "--project", "flights", "--json", home=second)
        here = everloop("datasets", "get", "flights", "--json", home=lived.home)
        assert there.json["digest"] == here.json["digest"], there.err


class TestPredictions:
    def test_each_flight_was_asked_about_once(self, lived: Life, schedule: pa.Table) -> None:
        assert sorted(lived.log["key"].to_pylist()) == sorted(schedule["flight_id"].to_pylist())
        assert lived.account["predictions"] == schedule.num_rows

    def test_each_has_an_id_of_its_own(self, lived: Life) -> None:
        assert len(pc.unique(lived.log["prediction_id"])) == lived.log.num_rows

    def test_each_label_was_kept_once(self, lived: Life, schedule: pa.Table) -> None:
        landed = schedule.filter(pc.and_(pc.is_valid(schedule["late"]), pc.is_valid(schedule["landed_at"])))
        assert sorted(lived.labels["key"].to_pylist()) == sorted(landed["flight_id"].to_pylist())

    @pytest.mark.parametrize("seed", range(2))
    def test_any_of_them_is_traced_to_bytes(self, lived: Life, tmp_path: Path, seed: int) -> None:
        row = Random(seed).randrange(lived.log.num_rows)
        one = lived.log.slice(row, 1).to_pylist()[0]
        steps = everloop("trace", one["prediction_id"], "--json", home=lived.home).json["steps"]
        facts = {step["urn"].partition("/")[2]: step["facts"] for step in steps}
        assert steps[0]["facts"]["key"] == one["key"]
        assert f"{one['output']:.6f}" in steps[0]["facts"]["output"]
        assert f"delay@{one['model_version']}" in facts
        assert facts["flights@12"]["made from"] == "flights@11"
        raw = facts["deliveries@15"]
        assert raw["held"] == "the store has them"
        assert self._lines(lived, raw["bytes"].split()[-1]) == 12 + 336_776

    def _lines(self, lived: Life, digest: str) -> int:
        """How many lines the flights at an address have; reading them checks that they have that address."""
        platform = open_platform(load({"home": str(lived.home)}, environment={}, folder=lived.home))
        store = platform.resources.store
        try:
            files = store.tree(digest)  # type: ignore[arg-type]  # A digest as text.
            return sum(store.get(file.digest).count(b"\n") for file in files if file.path.startswith("flights/"))
        finally:
            platform.close()


class TestTheLedger:
    def test_it_is_whole(self, copied: Path) -> None:
        ran = everloop("audit", "verify", "--json", home=copied)
        assert (ran.code, ran.json["intact"]) == (0, True)

    @pytest.mark.parametrize(
        ("harm", "broken"),
        [
            ("UPDATE ledger SET event = replace(event, 'a', 'b') WHERE sequence = 40", 40),
            ("UPDATE ledger SET principal = 'somebody' WHERE sequence = 41", 41),
            ("DELETE FROM ledger WHERE sequence = 42", 42),
        ],
        ids=["changed", "signed by another", "left out"],
    )
    def test_it_names_the_entry_that_was_tampered_with(self, copied: Path, harm: str, broken: int) -> None:
        with closing(sqlite3.connect(copied / "catalog.db")) as catalog, catalog:
            assert catalog.execute(harm).rowcount == 1
        ran = everloop("audit", "verify", "--json", home=copied)
        assert ran.code == 8
        assert (ran.json["intact"], ran.json["first_broken"]) == (False, broken)

    def test_an_end_that_was_cut_off_is_missed(self, copied: Path) -> None:
        with closing(sqlite3.connect(copied / "catalog.db")) as catalog, catalog:
            catalog.execute("DELETE FROM ledger WHERE sequence > 60")
        assert everloop("audit", "verify", home=copied).code == 8


class TestAgain:
    def test_a_second_run_executes_no_step_and_says_the_same(self, lived: Life) -> None:
        before, predictions = lived.executed(), lived.log.num_rows
        again = Life(lived.home, lived.months)
        again.printed = lived.home.parent / "again.json"
        again.start()
        same = again.finish()
        new = [steps for execution, steps in again.executed().items() if execution not in before]
        assert new == [5], "only what `everloop reproduce` runs, in order to compare it"
        assert again.log.num_rows == predictions
        differ = {name for name in same if name != "data" and same[name] != lived.account[name]}
        assert differ <= {"seconds", "peak_memory_mb", "audit_entries"}
        before, now = lived.account["data"], same["data"]
        assert {name for name in now if now[name] != before[name]} <= {"keeping"}, "another reproduction may be kept"

    def test_another_length_is_refused(self, lived: Life) -> None:
        ran = everloop("demo", "--months", "2", home=lived.home)
        assert ran.code == 10
        assert "1 months into the year" in ran.err


class TestABadCandidate:
    def test_one_that_somebody_proposes_is_stopped_by_a_gate_before_anybody_meets_it(
        self, lived: Life, tmp_path: Path
    ) -> None:
        home = Path(shutil.copytree(lived.home, tmp_path / "home"))
        proposed = everloop(
            "loops", "propose", "delay", "--pipeline", "fit_backwards", "--reason", "A test.", "--json", home=home
        )
        assert proposed.code == 0, proposed.err
        candidate = everloop("loops", "tick", "delay", "--json", home=home).json["candidate"]
        refusal = next(gate for gate in candidate["gates"] if not gate["passed"])
        assert (candidate["status"], candidate["units"], refusal["gate"]) == ("refused", 0, "better_than")
        status = everloop("status", "--json", home=home).json
        assert status["loops"][0]["stopped"] == 1
        assert [share["percent"] for share in status["endpoints"][0]["traffic"] if share["percent"]] == [100.0]


class TestUp:
    @pytest.fixture
    def port(self, lived: Life, tmp_path: Path) -> Iterator[int]:
        """The port of an `everloop up` on the home; at the end it is stopped, and so are all that it started."""
        assert lived.log.num_rows  # Read before this test asks for a prediction: others compare what the demo answered.
        port = free_port()
        words = [sys.executable, "-m", "everloop", "up", "--home", str(lived.home), "--port", str(port)]
        with (tmp_path / "up.log").open("wb") as log:
            up = subprocess.Popen(words, stdout=log, stderr=log, env=plain())
        yield port
        children = children_of(up.pid)
        up.send_signal(signal.SIGTERM)
        assert up.wait(30) == 0, (tmp_path / "up.log").read_text()
        assert not any(alive(child) for child in children)

    def test_the_server_the_ui_and_the_endpoint_answer_and_all_of_them_stop(self, lived: Life, port: int) -> None:
        url = f"http://127.0.0.1:{port}"
        for path in ("/healthz", "/readyz", "/", "/api/v1/openapi.json"):
            assert eventually(lambda path=path: httpx.get(url + path, timeout=20)).status_code == 200, path  # type: ignore[misc]  # A closure.
        page = httpx.get(url + "/", timeout=20)
        assert "text/html" in page.headers["content-type"]
        assert "delay" in page.text
        one = {"flight_id": "x-1", "carrier": "UA", "origin": "EWR", "tailnum": "N14228"}
        numbers = {"distance": 1400.0, "hour": 17.0, "minute": 5.0, "weekday": 2.0}
        asked = {"dataframe_records": [one | numbers]}
        answer = eventually(lambda: httpx.post(f"http://127.0.0.1:{port + 1}/invocations", json=asked, timeout=20))
        assert answer.status_code == 200, answer.text
        assert 0 < answer.json()["predictions"][0] < 1


def eventually(ask: Callable[[], httpx.Response]) -> httpx.Response:
    """The answer, once somebody answers."""
    end = time.monotonic() + 60
    while True:
        try:
            return ask()
        except httpx.TransportError:
            assert time.monotonic() < end
            time.sleep(0.1)


def test_nothing_of_it_runs_on_when_it_has_ended(lived: Life) -> None:
    running = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    assert not [process for process in running if str(lived.home) in words_of(process)]
