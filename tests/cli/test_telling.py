"""What people are told on the command line of versions, checks, splits and merges."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Everloop
from tests.datasets.workspace.conftest import write

CSV = "k,v\n" + "".join(f"{row},{row % 3}\n" for row in range(30))


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bare: Everloop) -> Path:
    """A folder with a folder of files and a table that is kept as `t`, as the current folder."""
    write(tmp_path / "work", {"images/a.txt": "one", "t.csv": CSV})
    monkeypatch.chdir(tmp_path / "work")
    bare("add", "t.csv", "--note", "first")
    return tmp_path / "work"


def test_the_history_of_a_dataset_has_a_line_for_each_version(bare: Everloop, work: Path) -> None:
    lines = bare("datasets", "log", "t").out.splitlines()
    assert len(lines) == 2
    assert "30 rows in 2 columns" in lines[1]
    assert "first" in lines[1]
    assert "{" not in lines[1]


def test_columns_that_are_empty_in_every_row_are_not_shown(bare: Everloop, work: Path) -> None:
    assert "description" not in bare("datasets", "list").out
    assert "description" in bare("datasets", "list", "--json").out


def test_a_check_tells_each_expectation_in_words(bare: Everloop, work: Path) -> None:
    told = bare("datasets", "expect", "t", "--expectations", '[{"type": "unique", "columns": ["v"]}]').out
    assert "no two rows agree in v" in told
    ran = bare("datasets", "check", "t")
    assert ran.code == 6
    assert "of 30" in ran.out
    assert "{" not in ran.out
    assert "failed" in bare("datasets", "checks", "t").out


def test_a_split_tells_its_parts_and_how_to_prove_them(bare: Everloop, work: Path) -> None:
    told = bare("datasets", "split", "t", "--strategy", '{"type": "random"}').out
    assert "t.train@1: 24 rows" in told
    assert "everloop datasets prove " in told
    assert "t.test@1 6 rows" in bare("datasets", "splits", "t").out


def test_a_row_file_is_kept_and_named_by_its_path(bare: Everloop, work: Path) -> None:
    write(work, {"more.csv": "k,v\n1,9\n77,1\n"})
    made = bare("datasets", "upsert", "t", "--digest", "@more.csv", "--format", "csv", "--keys", "k", "--json").json
    assert made["rows"] == 31
    assert bare("datasets", "append", "t", "--digest", "@none.csv", "--format", "csv").code == 3


def test_a_merge_with_conflicts_lists_them_and_ends_as_a_conflict(bare: Everloop, work: Path) -> None:
    bare("datasets", "branch", "t", "mine")
    write(work, {"one.csv": "k,v\n1,70\n", "two.csv": "k,v\n1,80\n"})
    bare("datasets", "upsert", "t", "--digest", "@one.csv", "--format", "csv", "--keys", "k")
    bare("datasets", "upsert", "t", "--digest", "@two.csv", "--format", "csv", "--keys", "k", "--branch", "mine")
    ran = bare("datasets", "merge", "t", "--branch", "mine", "--keys", "k")
    assert ran.code == 4
    assert "1 conflicts, merging mine into main of t; nothing was changed." in ran.out


def test_many_verbs_are_grouped_by_what_they_are_about(bare: Everloop) -> None:
    told = bare("datasets", "--help").out
    assert told.index("Branches, tags, merges") < told.index("\n  branch ") < told.index("Changes of rows")
    assert "\n  upsert " in told


def test_help_says_nothing_of_exceptions(bare: Everloop) -> None:
    assert "Raises" not in bare("datasets", "import-suite", "--help").out


def test_the_status_names_what_data_there_is(bare: Everloop, work: Path) -> None:
    assert bare("status").out == "data t@1\n"


def test_a_day_with_branches_is_told_in_sentences(bare: Everloop, work: Path) -> None:
    bare("data", "add", "images")
    assert bare("data", "branch", "images", "trial").out == "Branch trial of images stands at version 1.\n"
    write(work, {"images/b.txt": "two"})
    bare("data", "add", "images")
    refused = bare("data", "merge", "images", "trial")
    assert refused.code == 2
    assert "everloop data checkout images --at main" in refused.err
    bare("data", "checkout", "images", "--at", "main")
    assert bare("data", "merge", "images", "trial").out == "images: 1 files written, 0 removed, 1 kept.\n"
    assert bare("data", "tag", "images", "golden").out == "images@golden is version 2.\n"
    assert "2 files, 6 bytes" in bare("data", "log", "images").out


def test_a_push_tells_what_travelled(bare: Everloop, work: Path, tmp_path: Path) -> None:
    bare("data", "add", "images")
    bare("remotes", "add", "origin", "--url", f"file://{tmp_path}/origin")
    assert bare("data", "push", "images").out.startswith("default/images/main at origin points to commit ")
    assert "nothing was lacking" in bare("data", "push", "images").out
    assert "no new versions" in bare("remotes", "pull", "origin", "--dataset", "images").out


def test_adding_a_file_as_a_folder_says_which_command_takes_it(bare: Everloop, work: Path) -> None:
    assert "everloop add t.csv" in bare("data", "add", "t.csv").err


def test_tables_are_taken_in_all_formats_that_can_be_read(bare: Everloop, work: Path) -> None:
    (work / "packed data.csv.gz").write_bytes(gzip.compress(CSV.encode()))
    write(work, {"lines.jsonl": '{"a": 1}\n{"a": 2}\n'})
    packed = bare("add", "packed data.csv.gz", "--json").json
    assert (packed["dataset"], packed["rows"]) == ("packed-data", 30)
    assert bare("add", "lines.jsonl", "--json").json["rows"] == 2


def test_the_folder_of_the_home_is_not_added_to_itself(bare: Everloop, work: Path) -> None:
    ran = bare("data", "add", ".")
    assert ran.code == 2
    assert "Everloop's own home" in ran.err


def test_a_store_that_is_damaged_ends_as_corrupted(bare: Everloop, work: Path) -> None:
    write(work, {f"images/{name}.txt": f"{name}" * 50 for name in range(5)})
    bare("data", "add", "images")
    assert bare("store", "verify").code == 0
    largest = max((work / ".everloop" / "store" / "packs").rglob("??/*"), key=lambda path: path.stat().st_size)
    largest.unlink()
    assert bare("store", "fsck").code == 8


def test_nothing_is_said_of_leaks_when_a_command_ends(bare: Everloop, work: Path) -> None:
    query = ["datasets", "query", "--sql", "SELECT count(*) AS n FROM t", "--inputs", "t", "--json"]
    program = "from everloop.cli.main import main; main()"
    done = subprocess.run([sys.executable, "-c", program, *query], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ('[{"n":30}]\n', "")


def test_a_list_of_runs_tells_a_few_values_of_each(bare: Everloop) -> None:
    parameters = [word for number in range(9) for word in ("--parameters", f"p{number}={'x' * 99}")]
    bare("runs", "start", "--experiment", "trial", "--name", "wide", *parameters)
    header, line = bare("runs", "search").out.splitlines()[:2]
    assert "parameters" in header
    assert "wide" in line
    assert "x" * 40 not in line
    assert "p5" not in bare("runs", "search").out
    assert '"p8"' in bare("runs", "search", "--json").out
