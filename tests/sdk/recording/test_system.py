"""Samples of what the machine does."""

from __future__ import annotations

import psutil
import pytest

import everloop as el
from everloop.sdk.platform import Everloop
from everloop.sdk.recording.system import Machine


def test_a_sample_has_the_machine_and_this_process() -> None:
    figures = Machine(psutil.Process()).sample(1.0)
    assert {"cpu_percent", "memory_percent", "process_memory_mb", "network_sent_mb_s", "disk_percent"} <= set(figures)
    assert 0 < figures["process_memory_mb"] < psutil.virtual_memory().total / (1 << 20)
    assert all(value >= 0 for value in figures.values())


@pytest.mark.slow
def test_a_run_logs_them_as_metrics(ever: Everloop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERLOOP_SYSTEM_METRICS_SECONDS", "0.05")
    import time

    with el.run(platform=ever) as run:
        until = time.monotonic() + 20
        while "system/process_memory_mb" not in ever.runs.get(run.id).metrics if run.sync() else True:
            assert time.monotonic() < until
            time.sleep(0.05)
    assert ever.runs.history(run.id, "system/cpu_percent")[0].step == 0
