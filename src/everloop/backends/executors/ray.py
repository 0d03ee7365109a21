"""Steps on a Ray cluster, or on a local Ray where none is named (`RAY_ADDRESS`)."""

from __future__ import annotations

import os
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from everloop.backends.executors.processes import RemoteCall, perform_remote, remote_call
from everloop.kernel.errors import Misconfigured, StepFailed, Unavailable
from everloop.pipelines.executor import StepCall, StepOutcome

if TYPE_CHECKING:
    from types import ModuleType


_STARTS = 3
"""So often a local Ray is started: it gives itself 30 seconds, which nothing can change, and a busy machine takes."""


class RayExecutor:
    """Each step is a task of Ray's. The home must be one that every node sees, and the database one that it reaches.

    To start a local Ray takes seconds, once; a step then costs some milliseconds.
    """

    def __init__(self, workers: int = 0) -> None:
        self._workers = workers
        self._ray: ModuleType | None = None
        self._started = False
        self._lock = threading.Lock()
        self._task: Any = None

    def submit(self, call: StepCall) -> Future[StepOutcome]:
        """Send a step to the cluster; the future has its outcome.

        Raises:
            InvalidInput: the step is no function at the top level of a module.
            Misconfigured: Ray is not installed.
            Unavailable: it does not start, or cannot be reached.
        """
        remote = remote_call(call)
        ray = self._open()
        done: Future[StepOutcome] = Future()
        sent = self._task.remote(remote)
        threading.Thread(target=_pass_on, args=(ray, sent, done, call.name), daemon=True).start()
        return done

    def close(self) -> None:
        """Leave the cluster; a Ray that was started here is ended."""
        with self._lock:
            ray, self._ray = self._ray, None
            if ray is not None and self._started:
                ray.shutdown()

    def _open(self) -> ModuleType:
        with self._lock:
            if self._ray is None:
                try:
                    import ray
                except ModuleNotFoundError:
                    raise Misconfigured("Ray is not installed.", hint="pip install 'everloop[ray]'") from None
                if not ray.is_initialized():
                    self._start(ray)
                self._task = ray.remote(num_cpus=1, max_retries=0)(_perform)
                self._ray = ray
            return self._ray

    def _start(self, ray: ModuleType) -> None:
        """Join the cluster that RAY_ADDRESS names, or start one here with a core for each worker."""
        options: dict[str, Any] = {"log_to_driver": False, "configure_logging": False}
        if not _address():
            options |= {"include_dashboard": False} | ({"num_cpus": self._workers} if self._workers else {})
        for left in reversed(range(1 if _address() else _STARTS)):
            try:
                ray.init(**options)
                break
            except Exception as error:  # Ray raises bare ones when it does not start in time.
                ray.shutdown()
                if not left:
                    raise Unavailable(
                        f"Ray did not start, or cannot be reached ({error}).",
                        hint="Check RAY_ADDRESS; on a machine that is too busy to start Ray, use executor='processes'.",
                    ) from error
        self._started = True


def _address() -> str:
    return os.environ.get("RAY_ADDRESS", "")


def _perform(call: RemoteCall) -> StepOutcome:
    """What a task does: it is named here because Ray calls functions, not modules."""
    return perform_remote(call)


def _pass_on(ray: ModuleType, sent: Any, done: Future[StepOutcome], name: str) -> None:
    try:
        done.set_result(ray.get(sent))
    except Exception as error:  # noqa: BLE001 - Ray's own errors have no common class that is public
        told = StepFailed(f"The task of Ray's that executed step {name} died: {error}.", hint="See Ray's own log.")
        done.set_exception(told)


def open_executor(workers: int = 0) -> RayExecutor:
    """Ray, with so many cores where it is started here."""
    return RayExecutor(workers)
