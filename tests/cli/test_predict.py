"""`everloop predict` as people and programs call it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from everloop.app.platform import Platform, open_platform
from everloop.app.settings import load
from everloop.registry.columns import InputMatrix, signature_of
from everloop.registry.save import save_model
from tests import servers

ROWS = 60_000
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the model `late`, and a table of many row groups."""
    made = tmp_path_factory.mktemp("predict")
    platform = open_platform(load({"home": str(made / "home")}, environment={}, folder=made))
    with (session := platform.session()).activate():
        _register(platform, session.project)
    platform.close()
    generator = np.random.default_rng(0)
    columns = {"wind": generator.random(ROWS), "hour": generator.random(ROWS)}
    pq.write_table(pa.table({"id": np.arange(ROWS)} | columns), made / "in.parquet", row_group_size=500)
    return made


def _register(platform: Platform, project: str) -> None:
    import lightgbm

    generator = np.random.default_rng(5)
    columns = {"wind": generator.random(200), "hour": generator.random(200)}
    signature = signature_of(columns)
    data = lightgbm.Dataset(InputMatrix(signature.inputs)(columns), (columns["wind"] > 0.5).astype(float))
    booster = lightgbm.train({"objective": "binary", "verbose": -1, "num_threads": 1}, data, num_boost_round=300)
    trained = save_model(booster, signature=signature)
    platform.call("models.register", {"name": "late", "trained": trained}, project=project)


def command(folder: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "everloop", "predict", "late", "--home", str(folder / "home"), *arguments]


def test_a_table_is_predicted_into_a_file(folder: Path) -> None:
    asked = command(folder, "--in", "in.parquet", "--out", "out.csv", "--key", "id", "--json")
    told = subprocess.run(asked, cwd=folder, capture_output=True, text=True, check=True)
    assert json.loads(told.stdout)["rows"] == ROWS
    lines = (folder / "out.csv").read_text().splitlines()
    assert lines[0] == '"id","prediction","model_version","predicted_at"'
    assert len(lines) == ROWS + 1


def test_what_is_wrong_is_said_with_its_exit_code(folder: Path) -> None:
    asked = command(folder, "--in", "nothing.parquet", "--out", "none.csv")
    told = subprocess.run(asked, cwd=folder, capture_output=True, text=True, check=False)
    assert told.returncode == 3
    assert "There is no table at nothing.parquet" in told.stderr


def test_a_dataset_may_be_the_output(folder: Path) -> None:
    asked = command(folder, "--in", "in.parquet", "--out", "dataset:guesses", "--json")
    told = subprocess.run(asked, cwd=folder, capture_output=True, text=True, check=True)
    assert json.loads(told.stdout)["out"] == "dataset:guesses@1"


def test_a_killed_batch_goes_on_and_comes_to_the_same_bytes(folder: Path) -> None:
    many = folder / "many"
    many.mkdir()
    for number in range(40):
        os.link(folder / "in.parquet", many / f"{number:02}.parquet")
    asked = command(folder, "--in", "many", "--out", "killed", "--key", "id")
    running = subprocess.Popen(asked, cwd=folder, stderr=subprocess.DEVNULL)
    manifest = folder / ".killed.partial" / "_manifest.jsonl"
    for _ in range(2_000):
        if manifest.exists() and manifest.read_bytes().count(b"digest") >= 3:
            break
        time.sleep(0.01)
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert not (folder / "killed").exists()
    told = subprocess.run([*asked, "--resume", "--json"], cwd=folder, capture_output=True, check=True)
    assert json.loads(told.stdout)["resumed"] >= 3 * ROWS
    before = pq.read_table(folder / "killed", columns=["id", "prediction"])
    subprocess.run([*asked, "--out", "whole"], cwd=folder, capture_output=True, check=True)
    assert before.equals(pq.read_table(folder / "whole", columns=["id", "prediction"]))


def test_a_follower_that_is_killed_again_and_again_answers_each_record_once(folder: Path) -> None:
    log = folder / "events.jsonl"
    with log.open("w") as file:
        file.write("".join(f'{{"id": {n}, "wind": 0.{n % 10}, "hour": 1}}\n' for n in range(50_000)))
    asked = command(folder, "--in", "events.jsonl", "--out", "answers", "--follow")
    for enough in (1, 4, 8):
        running = subprocess.Popen(asked, cwd=folder, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        for _ in range(1_000):
            if len(list((folder / "answers").glob("part-*"))) >= enough:
                break
            time.sleep(0.005)
        running.send_signal(signal.SIGKILL)
        running.wait()
    subprocess.run([*asked, "--idle", "100ms"], cwd=folder, capture_output=True, check=True)
    parts = sorted((folder / "answers").glob("part-*"))
    ids = [json.loads(line)["id"] for part in parts for line in part.read_text().splitlines()]
    assert ids == list(range(50_000))


def test_redis_to_redis_is_followed(folder: Path) -> None:
    import redis

    with servers.redis() as url:
        client = redis.Redis.from_url(url)
        for n in range(300):
            client.xadd("in", {"id": n, "wind": 0.5, "hour": n % 24})
        client.xadd("in", {"value": b"torn"})
        streams = ("--in", f"{url}?stream=in", "--out", f"{url}?stream=out")
        asked = command(folder, *streams, "--follow", "--idle", "200ms", "--json")
        told = json.loads(subprocess.run(asked, cwd=folder, capture_output=True, check=True).stdout)
        assert (told["records"], told["refused"], told["lag"]) == (301, 1, 0)
        assert (client.xlen("out"), client.xlen("out:refused")) == (300, 1)
