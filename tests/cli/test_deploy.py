"""`everloop manifest` and `everloop size`: what people type and read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from everloop.app.platform import Platform
from everloop.cli.deploy import told
from everloop.packaging.sizing.recommendation import recommended
from everloop.registry.entities import Model
from tests.cli.conftest import Everloop
from tests.packaging.conftest import booster, columns, registered, trained_apart
from tests.packaging.sizing.test_recommendation import profile

__all__ = ["booster", "columns", "registered", "trained_apart"]
GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "deploy.md"


@pytest.fixture
def late(platform: Platform, trained_apart: Model) -> Platform:
    """A platform with a model and an endpoint, both named `late`, as in the guide."""
    for _ in range(3):
        platform.call("models.register", {"name": "late", "trained": trained_apart})
    platform.call("endpoints.create", {"name": "late", "model": "late", "version": 1})
    return platform


def kinds(text: str) -> list[Any]:
    return [each["kind"] for each in yaml.safe_load_all(text)]


def test_without_a_folder_the_files_are_one_stream_for_kubectl(late: Platform, everloop: Everloop) -> None:
    ran = everloop("manifest", "late", "--gateway", "front")
    assert ran.code == 0
    assert kinds(ran.out)[0] == "Deployment"
    assert "HTTPRoute" in kinds(ran.out)
    assert "Note: Size: not measured" in ran.err


def test_with_a_folder_each_file_is_written_and_named(late: Platform, everloop: Everloop, tmp_path: Path) -> None:
    ran = everloop("manifest", "late@2", "--kind", "helm", "--out", str(tmp_path / "chart"))
    assert ran.code == 0
    assert (tmp_path / "chart" / "templates" / "release.yaml").is_file()
    assert str(tmp_path / "chart" / "Chart.yaml") in ran.out


def test_a_name_is_an_endpoint_before_it_is_a_model_and_a_version_is_always_a_models(
    late: Platform, everloop: Everloop
) -> None:
    assert "late-r1" in everloop("manifest", "late", "--json").json["files"].__str__()
    assert list(everloop("manifest", "late@2", "--json").json["files"]) == ["late-v2.yaml"]
    assert list(everloop("manifest", "models:/late/3", "--json").json["files"]) == ["late-v3.yaml"]


def test_a_model_without_an_endpoint_is_its_newest_version(registered: Platform, everloop: Everloop) -> None:
    assert list(everloop("manifest", "delay", "--json").json["files"]) == ["delay-v1.yaml"]


def test_an_unknown_name_is_not_found(late: Platform, everloop: Everloop) -> None:
    assert everloop("manifest", "ghost").code == 3
    assert everloop("size", "ghost", "--rate", "10").code == 3


def test_a_folder_that_cannot_be_written_is_said(late: Platform, everloop: Everloop, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ran = everloop("manifest", "late", "--out", str(tmp_path / "file" / "below"))
    assert (ran.code, "cannot be written" in ran.err) == (3, True)


@pytest.mark.parametrize(
    "words",
    [
        ("--rate", "0"),
        ("--rate", "-5"),
        ("--rate", "nan"),
        ("--rate", "10", "--latency", "0ms"),
        ("--rate", "10", "--latency", "soon"),
        ("--rate", "10", "--price", "free"),
        ("--rate", "10", "--price", "aws=1/-2"),
    ],
)
def test_a_target_or_a_price_that_means_nothing_is_wrong_input(
    late: Platform, everloop: Everloop, words: tuple[str, ...]
) -> None:
    assert everloop("size", "late", *words).code == 2


def test_a_dry_run_says_what_would_be_done_and_does_nothing(late: Platform, everloop: Everloop) -> None:
    ran = everloop("size", "late@1", "--rate", "100", "--quick", "--dry-run")
    assert "Start a server of late@1" in ran.out
    assert "5 s" in ran.out
    assert late.call("audit.entries", {"kind": "packages.measured"}) == []


@pytest.mark.slow
def test_a_size_is_measured_once_and_then_reckoned(late: Platform, everloop: Everloop) -> None:
    words = ("size", "late@1", "--latency", "2s", "--quick", "--price", "ours=0.04/0.004")
    first = everloop(*words, "--rate", "100", "--json").json
    second = everloop(*words, "--rate", "100000", "--json").json
    assert first["profile"] == second["profile"]
    assert second["size"]["replicas"] > first["size"]["replicas"]
    assert [cost["place"] for cost in first["size"]["costs"]] == ["ours"]


def test_people_read_the_recommendation_the_curve_and_the_evidence() -> None:
    text = told(recommended(profile(), 2000, 50), profile())
    assert "4 replicas of 700 requests a second each, one of them spare" in text
    assert len(re.findall("█", text)) >= 4
    assert "400 ms too late" in text
    assert "Measured 2026-01-01 00:00 on one core of 2" in text


def test_every_command_of_the_guide_that_writes_files_works(
    late: Platform, everloop: Everloop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = re.findall(r"^everloop (manifest .*?)(?:  +#.*)?$", GUIDE.read_text(), re.MULTILINE)
    assert len(lines) == 2
    for line in lines:
        assert everloop(*line.split()).code == 0, line
    assert (tmp_path / "manifests" / "late-r1.yaml").is_file()
    assert (tmp_path / "chart" / "values.yaml").is_file()
