"""Workloads to write manifests of, and the tools that judge them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from everloop.packaging.manifests.entities import Placement, Release, Size, Workload

SIZE = Size(250, 1000, 128, 192, 2, 8, 0, 0.5, "measured")
SCHEMAS = Path(__file__).with_name("schemas")
HELM = Path(sys.prefix) / "helm" / "helm"


def release(name: str = "late-v1", weight: int = 1_000_000, role: str = "stable", version: int = 1) -> Release:
    """A release of the model `late`."""
    image = f"registry.test/late@sha256:{version:064x}"
    return Release(name, "late", version, "d" * 64, image, weight, role)  # type: ignore[arg-type]  # a Literal


def workload(*releases: Release, size: Size = SIZE, **placed: Any) -> Workload:
    """A workload of these releases, or of one."""
    return Workload("late", "late", releases or (release(),), size, Placement(**placed))


def divided(*percents: int) -> Workload:
    """A workload whose traffic is divided between so many releases."""
    parts = [
        release(f"late-r{place}", percent * 10_000, "canary" if place > 1 else "stable", place)
        for place, percent in enumerate(percents, 1)
    ]
    return workload(*parts)


def with_shadow() -> Workload:
    """A workload whose second release only sees the requests."""
    return workload(release("late-r1"), release("late-r2", 0, "shadow", 2))


def sized(**changes: Any) -> Size:
    """The usual size, changed."""
    return msgspec.structs.replace(SIZE, **changes)


def documents(files: dict[str, str]) -> list[Any]:
    """Every document in the YAML files."""
    return [each for text in files.values() for each in yaml.safe_load_all(text)]


def of_kind(found: Iterable[Any], kind: str) -> list[Any]:
    """The objects of a kind."""
    return [each for each in found if each["kind"] == kind]


def broken_rules(value: Any, schema: str) -> list[str]:
    """What a published schema says against a value."""
    from jsonschema import Draft202012Validator

    judge = Draft202012Validator(json.loads((SCHEMAS / schema).read_text()))
    return [f"{'/'.join(map(str, error.path))}: {error.message}" for error in judge.iter_errors(value)]


def tool(name: str, place: Path | None = None) -> str:
    """The path of a program, or the test is skipped."""
    found = str(place) if place and place.exists() else shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def judged(words: Sequence[str | Path]) -> str:
    """What a program printed, which must have found nothing wrong."""
    ran = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def written(folder: Path, files: dict[str, str]) -> Path:
    """The files below a folder."""
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder
