"""What the machine does while a run goes on, as metrics `system/…`."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psutil

_MEGABYTE = 1 << 20
_FIRST = 1.0
"""Runs that end within so many seconds do not pay for a look at the machine."""


class Sampler:
    """Logs what processors, memory, disks, network, this process and graphics processors do, every so many seconds."""

    def __init__(self, log: Callable[[str, float], None], seconds: float) -> None:
        self._log = log
        self._seconds = seconds
        self._ended = threading.Event()

    def start(self) -> None:
        """Start to sample; a period that is 0 says never."""
        if self._seconds > 0:
            threading.Thread(target=self._work, name="everloop-system", daemon=True).start()

    def stop(self) -> None:
        """Sample no more."""
        self._ended.set()

    def _work(self) -> None:
        if self._ended.wait(min(self._seconds, _FIRST)):
            return
        import psutil

        machine = Machine(psutil.Process())
        while not self._ended.wait(self._seconds):
            for key, value in machine.sample(self._seconds).items():
                self._log(f"system/{key}", value)


class Machine:
    """Figures of this machine and of a process on it; rates are since the sample before."""

    def __init__(self, process: psutil.Process) -> None:
        self._process = process
        self._gpus = _Gpus()
        self._counters: dict[str, float] = {}
        self.sample(1.0)  # What is a rate needs a sample before.

    def sample(self, seconds: float) -> dict[str, float]:
        """Every figure that can be had here: percents, megabytes, and megabytes a second."""
        import psutil

        memory = psutil.virtual_memory()
        figures = {
            "cpu_percent": psutil.cpu_percent(),
            "memory_percent": memory.percent,
            "memory_mb": memory.used / _MEGABYTE,
            "disk_percent": psutil.disk_usage("/").percent,
        }
        disk, network = psutil.disk_io_counters(), psutil.net_io_counters()
        if disk is not None:
            figures |= self._rates(seconds, disk_read_mb_s=disk.read_bytes, disk_write_mb_s=disk.write_bytes)
        if network is not None:
            figures |= self._rates(
                seconds, network_received_mb_s=network.bytes_recv, network_sent_mb_s=network.bytes_sent
            )
        return figures | self._of_process() | self._gpus.sample()

    def _of_process(self) -> dict[str, float]:
        with self._process.oneshot():
            return {
                "process_cpu_percent": self._process.cpu_percent(),
                "process_memory_mb": self._process.memory_info().rss / _MEGABYTE,
                "process_threads": self._process.num_threads(),
            }

    def _rates(self, seconds: float, **counters: float) -> dict[str, float]:
        before, self._counters = self._counters, self._counters | counters
        return {name: (now - before.get(name, now)) / _MEGABYTE / seconds for name, now in counters.items()}


class _Gpus:
    """The graphics processors, where NVIDIA's library is installed and finds any."""

    def __init__(self) -> None:
        self._library: Any = None  # It has no types.
        try:
            import pynvml  # type: ignore[import-not-found,import-untyped,unused-ignore]  # of the user's installation

            pynvml.nvmlInit()
            self._handles = [pynvml.nvmlDeviceGetHandleByIndex(at) for at in range(pynvml.nvmlDeviceGetCount())]
            self._library = pynvml
        except Exception:  # noqa: BLE001 - without the library or a driver there is nothing to sample
            self._handles = []

    def sample(self) -> dict[str, float]:
        """Load, memory, temperature and power of each."""
        found: dict[str, float] = {}
        for at, handle in enumerate(self._handles):
            memory = self._library.nvmlDeviceGetMemoryInfo(handle)
            found[f"gpu_{at}_percent"] = self._library.nvmlDeviceGetUtilizationRates(handle).gpu
            found[f"gpu_{at}_memory_mb"] = memory.used / _MEGABYTE
            found[f"gpu_{at}_celsius"] = self._library.nvmlDeviceGetTemperature(handle, 0)
            found[f"gpu_{at}_watts"] = self._library.nvmlDeviceGetPowerUsage(handle) / 1000
        return found
