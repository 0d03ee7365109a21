"""What W&B's client wrote comes over: logs of runs that went well, failed, were resumed or cut off; and files."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from everloop.app.platform import Platform
from everloop.kernel.errors import InvalidInput
from everloop.tracking.imports.entities import Report
from everloop.tracking.imports.wandb import WandbFolder, id_of
from everloop.tracking.imports.wandblog import Message, records
from everloop.tracking.imports.wandbruns import Told
from tests.tracking.imports.conftest import STORES

Bring = Callable[..., Report]
TRIAL, FAILED, LONG = (id_of("ops", "flights", run) for run in ("trial0", "failed", "long"))


@pytest.fixture
def wandb(tmp_path: Path) -> Path:
    """A copy of what W&B's client 0.31 wrote (`stores/wandb-0.31/written.py`)."""
    shutil.copytree(STORES / "wandb-0.31", tmp_path / "wandb")
    return tmp_path / "wandb"


def log_of(wandb: Path, run: str) -> Path:
    """The first log of a run."""
    return min(wandb.glob(f"*/run-{run}.wandb"))


def series(platform: Platform, run: str, key: str) -> list[tuple[int, float]]:
    """The points of a metric, by step."""
    return [(it.step, it.value) for it in platform.call("runs.history", {"id": run, "key": key})]


def found(platform: Platform, run: str) -> Any:
    """A run."""
    return platform.call("runs.get", {"id": run})


def test_a_run_keeps_its_name_group_note_and_config(wandb: Path, platform: Platform, bring: Bring) -> None:
    report = bring(WandbFolder(wandb))
    run = found(platform, TRIAL)
    assert (report.runs, report.added, report.wrong) == (3, 3, ())
    assert (run.experiment, run.name, run.group, run.note) == ("flights", "trial 0", "sweep", "# A *note*")
    assert (run.parameters["optimizer.name"], run.parameters["optimizer.beta"]) == ("adam", "1")
    assert {key: text for key, text in run.parameters.items() if "." not in key} == {
        "rate": "0.1",
        "layers": "[64, 64]",
        "late": "true",
    }
    assert (run.tags["wandb/tags"], run.tags["wandb/job_type"]) == ("night, big", "train")


def test_histories_come_whole_with_what_is_no_number(wandb: Path, platform: Platform, bring: Bring) -> None:
    bring(WandbFolder(wandb))
    assert series(platform, TRIAL, "loss") == [(step, 1 / (1 + step)) for step in range(300)]
    assert series(platform, TRIAL, "eval.accuracy") == [(step, step / 300) for step in range(300)]
    assert math.isnan(series(platform, TRIAL, "odd")[0][1])
    assert (series(platform, TRIAL, "big"), series(platform, TRIAL, "small")) == ([(300, math.inf)], [(300, -math.inf)])
    assert series(platform, TRIAL, "flag") == [(300, 1.0)]


def test_points_keep_the_time_at_which_they_were_logged(wandb: Path, platform: Platform, bring: Bring) -> None:
    bring(WandbFolder(wandb))
    run = found(platform, TRIAL)
    times = [it.at for it in platform.call("runs.history", {"id": TRIAL, "key": "loss"})]
    assert times == sorted(times)
    assert run.started < times[0] < times[-1] < run.ended


def test_what_only_the_summary_says_is_kept_too(wandb: Path, platform: Platform, bring: Bring) -> None:
    bring(WandbFolder(wandb))
    run = found(platform, TRIAL)
    assert run.metrics["best"] == 0.5
    assert run.metrics["loss"] == 1 / 300
    assert {key: text for key, text in run.tags.items() if "summary" in key} == {
        "wandb/summary/loss": "0.25",
        "wandb/summary/words": "hello",
    }


def test_what_the_machine_did_is_a_metric_of_the_system(wandb: Path, platform: Platform, bring: Bring) -> None:
    bring(WandbFolder(wandb))
    known = [key for key in found(platform, TRIAL).metrics if key.startswith("system/")]
    assert "system/memory_percent" in known
    assert len(series(platform, TRIAL, "system/memory_percent")) > 1


def test_files_console_and_media_are_artifacts(wandb: Path, platform: Platform, bring: Bring) -> None:
    bring(WandbFolder(wandb))
    files = {it.path: it.digest for it in platform.call("runs.artifacts", {"id": TRIAL})}
    assert b"hello from the console\nand from its other half\n" in platform.resources.store.get(files["output.log"])
    assert any(path.startswith("media/table/") for path in files)
    histogram = platform.resources.store.get(files["history/histogram.jsonl"])
    assert b'"_type":"histogram"' in histogram
    assert b'"value":"hello"' in platform.resources.store.get(files["history/words.jsonl"])


def test_a_console_of_which_no_file_was_written_is_taken_from_the_log(
    wandb: Path, platform: Platform, bring: Bring
) -> None:
    (log_of(wandb, "trial0").parent / "files" / "output.log").unlink()
    bring(WandbFolder(wandb))
    files = {it.path: it.digest for it in platform.call("runs.artifacts", {"id": TRIAL})}
    assert b"hello from the console\n" in platform.resources.store.get(files["output.log"])


def test_saved_files_and_artifacts_are_taken_from_the_folder_that_is_named_and_no_other(
    wandb: Path, tmp_path: Path, platform: Platform, bring: Bring
) -> None:
    copied, secret = tmp_path / "flights", tmp_path / "secret"
    copied.mkdir()
    (copied / "note.txt").write_text("saved")
    secret.write_text("mine")
    folder = log_of(wandb, "trial0").parent / "files"
    (folder / "note.txt").symlink_to("/gone/flights/note.txt")
    (folder / "secret").symlink_to(secret)
    report = bring(WandbFolder(wandb, copied))
    files = {it.path: it.digest for it in platform.call("runs.artifacts", {"id": TRIAL})}
    assert platform.resources.store.get(files["note.txt"]) == b"saved"
    assert "secret" not in files
    assert {it.what for it in report.untaken} == {"file secret", "file note.txt of artifact weights"}


def test_how_runs_ended_is_told(wandb: Path, platform: Platform, bring: Bring) -> None:
    cut = log_of(wandb, "long")
    shutil.rmtree(max(wandb.glob("*-long*"), key=lambda it: len(it.name)))
    cut.write_bytes(cut.read_bytes()[:-40])
    report = bring(WandbFolder(wandb))
    assert [found(platform, run).status for run in (TRIAL, FAILED, LONG)] == ["finished", "failed", "killed"]
    assert [it.of for it in report.untaken if it.what.startswith("part of run-long")] == [LONG]


def test_a_run_that_was_resumed_is_one_run(wandb: Path, platform: Platform, bring: Bring) -> None:
    bring(WandbFolder(wandb))
    assert series(platform, LONG, "loss") == [(step, step / 2) for step in range(6)]


def test_a_second_import_changes_nothing_and_one_of_a_resumed_run_takes_the_rest(
    wandb: Path, tmp_path: Path, platform: Platform, bring: Bring
) -> None:
    later = next(it for it in wandb.iterdir() if it.name.endswith("-long-1"))
    shutil.move(later, tmp_path / later.name)
    assert bring(WandbFolder(wandb)).added == 3
    again = bring(WandbFolder(wandb))
    assert (again.here, again.points, again.files) == (3, 0, 0)
    shutil.move(tmp_path / later.name, later)
    assert bring(WandbFolder(wandb)).changed == 1
    assert series(platform, LONG, "loss") == [(step, step / 2) for step in range(6)]


def test_a_dry_run_counts_what_a_real_one_brings(wandb: Path, platform: Platform, bring: Bring) -> None:
    told = bring(WandbFolder(wandb), dry_run=True)
    assert platform.call("experiments.list", {}) == []
    done = bring(WandbFolder(wandb))
    assert (told.added, told.points, told.files) == (done.added, done.points, done.files)


def test_a_damaged_block_costs_the_records_in_it_and_is_told_of(wandb: Path, platform: Platform, bring: Bring) -> None:
    log = log_of(wandb, "trial0")
    content = bytearray(log.read_bytes())
    content[40_000] ^= 1
    log.write_bytes(content)
    report = bring(WandbFolder(wandb))
    left = series(platform, TRIAL, "loss")
    assert 100 < len(left) < 300
    assert set(left) <= {(step, 1 / (1 + step)) for step in range(300)}
    assert any("damaged" in it.why for it in report.untaken)


@pytest.mark.parametrize("content", [b"", b"no log at all", b":W&B"])
def test_folders_without_a_run_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "run-x.wandb").write_bytes(content)
    with pytest.raises(InvalidInput, match="no runs of W&B's"):
        WandbFolder(tmp_path)


def varint(number: int) -> bytes:
    """A number as protobuf writes it."""
    return bytes([number]) if number < 0x80 else bytes([number & 0x7F | 0x80]) + varint(number >> 7)


def sized(number: int, content: bytes) -> bytes:
    """A field of a message, as protobuf writes those that are bytes."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def configured(number: int, path: list[str], value: str = "") -> Message:
    """A record that sets (1) or removes (2) something in a run's config."""
    item = b"".join(sized(2, name.encode()) for name in path) + sized(16, value.encode())
    return Message(sized(5, sized(number, item)))


def test_a_config_that_contradicts_itself_is_what_was_said_last() -> None:
    told = Told()
    told.take(configured(1, ["a"], "3"))
    told.take(configured(2, ["a", "b"]))
    told.take(configured(1, ["a", "c"], "4"))
    told.take(configured(1, ["deep"], "[" * 5_000))
    assert told.run("x", "trial").parameters == {"a.c": "4", "deep": "[" * 5_000}


@given(some.binary(max_size=60))
def test_any_bytes_are_a_message_or_refused(content: bytes) -> None:
    try:
        message = Message(content)
    except InvalidInput:
        return
    assert isinstance(message.text(1), str)
    assert isinstance(message.integer(1), int)


@given(place=some.integers(min_value=0), flipped=some.integers(min_value=0, max_value=7))
def test_a_log_with_any_bit_flipped_gives_no_record_that_was_not_written(
    tmp_path_factory: pytest.TempPathFactory, place: int, flipped: int
) -> None:
    content = bytearray(log_of(STORES / "wandb-0.31", "failed").read_bytes())
    damaged = tmp_path_factory.mktemp("log") / "run-x.wandb"
    damaged.write_bytes(content)
    whole = set(records(damaged, lambda why: None))
    content[7 + place % (len(content) - 7)] ^= 1 << flipped
    damaged.write_bytes(content)
    told: list[str] = []
    assert set(records(damaged, told.append)) < whole
    assert told
