"""What tests of sweeps share: a platform that other processes can open, and a file with objectives."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from everloop.app.platform import Platform, open_platform
from everloop.app.settings import load
from everloop.catalog.session import Session
from tests.conftest import unsynced
from tests.homes import fresh

OBJECTIVES = """
from __future__ import annotations
import os, time
import everloop as el
import optuna


def bowl(x, y=0.0):
    return (x - 1) ** 2 + y ** 2

def asked(trial):
    return trial.suggest_float("x", -5, 5) ** 2

def two(x):
    return x ** 2, (x - 2) ** 2

def named(x):
    return {"loss": x * x, "size": abs(x), "extra": 7}

def nan(x):
    return float("nan")

def typo(x):
    return x + undefined

def sometimes(x):
    if x < 0:
        raise ValueError(f"no {x}")
    return x

def staged(trial):
    x = trial.suggest_float("x", -5, 5)
    for step in range(8):
        el.log_metric("seen", step)
        trial.report(x * x, step)
        if trial.should_prune():
            raise optuna.TrialPruned
    return x * x

def slow(trial):
    x = trial.suggest_float("x", -5, 5)
    time.sleep(0.15)
    return x * x

def dies(trial):
    x = trial.suggest_float("x", -5, 5)
    if trial.number == 2:
        time.sleep(0.1)
        os.kill(os.getpid(), 9)
    return x * x

def always_dies(trial):
    os.kill(os.getpid(), 9)

@el.step
def stepped(x: float) -> float:
    return x * x

@el.pipeline
def piped(x: float, scale: float = 1.0) -> float:
    return stepped(x) * scale
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """The folder of a project with objectives in a file, which can be imported from here."""
    (tmp_path / "goals.py").write_text(OBJECTIVES)
    sys.path.insert(0, str(tmp_path))
    yield tmp_path
    sys.modules.pop("goals", None)


@pytest.fixture
def system(tmp_path: Path) -> Iterator[Platform]:
    """A platform that another process can open too: its clock is the system's."""
    settings = {"home": str(fresh(tmp_path / "home")), "project": "shop"}
    opened = open_platform(load(settings, environment={}, folder=tmp_path))
    unsynced(opened)
    yield opened
    opened.close()


@pytest.fixture
def idle(system: Platform) -> Session:
    """A session of that platform that has not begun."""
    return system.session()
