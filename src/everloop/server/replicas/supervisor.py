"""The supervisor: keeps so many workers on one port, and replaces those that die, hang, leak or do not get ready.

It is a process of one thread that opens nothing: workers are forked from it with all code in memory, which they share,
and open the platform themselves. Models that are compiled are mapped from files, so workers share these too.
"""

from __future__ import annotations

import gc
import logging
import os
import select
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from time import perf_counter
from types import FrameType

import msgspec

from everloop.app.processes import die_with_parent
from everloop.kernel.errors import EverloopError, Problem, Unavailable
from everloop.server.process import GRACE_SECONDS
from everloop.server.replicas.child import Child, Death, exit_of
from everloop.server.replicas.crashes import Backoff, Crashes
from everloop.server.replicas.pages import Pages
from everloop.server.replicas.standin import stand_in
from everloop.server.replicas.summing import summed
from everloop.server.replicas.watch import Notice
from everloop.server.replicas.worker import Worker

LOOK_SECONDS = 0.05
TOLD_SECONDS = 1.0
SPARE = 4
"""So many workers more than wanted may be there while some of them end."""
LONG_SECONDS = 0.5
"""When the next worker comes sooner, connections wait for it."""
FIRST_TRIES = 3
"""Where none has ever been ready, so many deaths are borne."""
HANG_GRACE_SECONDS = 1.0
"""How long a worker whose model hangs may still answer for its other models."""
log = logging.getLogger("everloop.server")


class Care(msgspec.Struct, frozen=True):
    """How workers are looked after; 0 for no limit of memory."""

    workers: int
    hang_seconds: float = 10.0
    ready_seconds: float = 60.0
    memory_mb: int = 0
    crashes: int = 5
    crash_window: float = 60.0


class Supervisor:
    """Runs `work` in workers until SIGTERM. `told` is called with the state of affairs when it has changed."""

    def __init__(
        self,
        work: Callable[[Worker], None],
        listening: socket.socket,
        care: Care,
        told: Callable[[Supervisor], None] = lambda supervisor: None,
    ) -> None:
        self.care = care
        self.children: dict[int, Child] = {}
        self.restarts = 0
        self.last_death = ""
        self.quarantined: dict[str, str] = {}
        self._work = work
        self._listening = listening
        self._told = told
        self._pages = Pages(care.workers + SPARE)
        self._crashes = Crashes(care.crashes, care.crash_window)
        self._backoff = Backoff()
        self._gone = ""
        self._was_ready = False
        self._failed: EverloopError | None = None
        self._stopping = False
        self._hung_up = False
        self._standin = 0
        self._next_telling = 0.0

    def run(self, ready: Callable[[], None]) -> None:
        """Watch until SIGTERM or SIGINT; then every worker finishes what it was asked. `ready` is called once.

        Raises:
            EverloopError: what the first worker said when it could not begin.
        """
        gc.collect()
        gc.freeze()  # What is there now is shared with the workers as long as nobody looks for garbage in it.
        woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        before = {number: signal.signal(number, self._signalled) for number in _SIGNALS}
        try:
            self._publish()
            while not self._stopping and self._failed is None:
                self._look(perf_counter(), ready)
                select.select([woken], [], [], LOOK_SECONDS)
                with suppress(BlockingIOError):
                    os.read(woken, 4096)
        finally:
            self._end()
            signal.set_wakeup_fd(-1)
            for number, handler in before.items():
                signal.signal(number, handler)
        if self._failed is not None:
            raise self._failed

    def _look(self, now: float, ready: Callable[[], None]) -> None:
        self._reap(now)
        for child in list(self.children.values()):
            self._check(child, now)
        if not self._was_ready and any(child.state == "ready" for child in self.children.values()):
            self._was_ready = True
            ready()
        if self._hung_up:
            self._refresh()
        self._replace_leaking()
        self._fill(now)
        self._stand_in()
        if now >= self._next_telling:
            self._next_telling = now + TOLD_SECONDS
            self._told(self)

    def _reap(self, now: float) -> None:
        """See who has died, and why."""
        for pid, child in list(self.children.items()):
            found, status = os.waitpid(pid, os.WNOHANG)
            if found:
                del self.children[pid]
                self._bury(child, Death(exit_of(status), child.reason, child.page.suspect), now)
        if self._standin and os.waitpid(self._standin, os.WNOHANG)[0]:
            self._standin = 0

    def _bury(self, child: Child, death: Death, now: float) -> None:
        self._gone = summed([("", self._gone), ("", child.page.read().decode())])
        child.page.clear()
        problem = child.said()
        child.close()
        if child.state == "draining" and not death.reason:
            self._publish()
            return
        self.restarts += 1
        self.last_death = f"worker {child.pid} {death.told}" + (f": {problem.message}" if problem else "")
        log.warning("%s", self.last_death)
        if not self._was_ready and (problem is not None or self.restarts > FIRST_TRIES):
            self._failed = (
                Unavailable(f"No worker could begin: {self.last_death}.") if problem is None else _error(problem)
            )
            return
        self._backoff.died(now - child.began, now)
        if death.is_crash and death.suspect and self._crashes.blame(death.suspect, now):
            self._isolate(death.suspect)
        self._publish()

    def _isolate(self, digest: str) -> None:
        care = self.care
        self.quarantined[digest] = (
            f"The model {digest[:12]} is in quarantine: it ended {care.crashes} workers in {care.crash_window:g} s."
        )
        log.error("%s", self.quarantined[digest])

    def _check(self, child: Child, now: float) -> None:
        """See how a worker is by its page, and end it if it hangs or does not get ready."""
        page, limit = child.page, self.care.hang_seconds
        if child.state == "draining":
            if now > child.deadline:
                child.kill(child.reason)
        elif page.get("draining"):
            child.drain(now + GRACE_SECONDS)
        elif child.state == "starting":
            if page.get("ready"):
                child.state = "ready"
                self._next_telling = 0.0
            elif now - child.began > self.care.ready_seconds:
                child.kill(f"was not ready after {self.care.ready_seconds:g} s")
        elif now - page.get("beat") > limit:
            child.kill(f"did not answer for {limit:g} s")
        elif page.get("busy") and now - page.get("busy") > limit:
            child.drain(now + HANG_GRACE_SECONDS, f"had a model that ran for more than {limit:g} s")

    def _replace_leaking(self) -> None:
        """Replace one worker at a time that has grown over the limit, once another is there for it."""
        limit = self.care.memory_mb
        ready = [child for child in self.children.values() if child.state == "ready"]
        if not limit or len(ready) < self.care.workers:
            return
        leaking = [child for child in ready if child.memory_mb() > limit]
        if leaking and len(ready) > self.care.workers:
            log.warning("worker %s has %s MB and is replaced", leaking[0].pid, leaking[0].memory_mb())
            self.restarts += 1
            leaking[0].drain(perf_counter() + GRACE_SECONDS)
        elif leaking and not any(child.state == "starting" for child in self.children.values()):
            self._fork()

    def _fill(self, now: float) -> None:
        there = sum(child.state != "draining" for child in self.children.values())
        for _ in range(self.care.workers - there):
            if len(self.children) < len(self._pages.workers) and not self._backoff.remaining(now):
                self._fork()

    def _stand_in(self) -> None:
        """Have somebody say why nobody answers, while workers die before they are ready."""
        ready = any(child.state == "ready" for child in self.children.values())
        if ready and self._standin:
            os.kill(self._standin, signal.SIGTERM)
        elif (
            not ready
            and self._was_ready
            and not self._standin
            and self._backoff.remaining(perf_counter()) > LONG_SECONDS
        ):
            reason = f"No worker is ready: the last one, {self.last_death}."
            self._standin = self._forked(lambda: stand_in(self._listening, reason))

    def _refresh(self) -> None:
        """SIGHUP: quarantine is over, and every worker looks up what it serves."""
        self._hung_up = False
        self._crashes.forgive()
        self.quarantined.clear()
        self._publish()
        for child in self.children.values():
            if child.state == "ready":
                child.signal(signal.SIGHUP)

    def _publish(self) -> None:
        """Tell the workers what they must know."""
        control = self._pages.control
        notice = Notice(dict(self.quarantined), self._gone, self.care.workers, self.restarts)
        control.write(msgspec.json.encode(notice))
        control.set("revision", control.get("revision") + 1)
        self._next_telling = 0.0

    def _fork(self) -> None:
        taken = {child.slot for child in self.children.values()}
        slot = next(at for at in range(len(self._pages.workers)) if at not in taken)
        page = self._pages.workers[slot]
        page.clear()
        heard, say = os.pipe2(os.O_CLOEXEC)

        def work() -> None:
            page.set("pid", os.getpid())
            try:
                self._work(Worker(self._listening, self._pages, slot))
            except EverloopError as error:
                os.write(say, msgspec.json.encode(error.problem))
                raise

        pid = self._forked(work)
        os.close(say)
        page.set("pid", pid)
        self.children[pid] = Child(pid, slot, page, perf_counter(), heard)

    def _forked(self, run: Callable[[], None]) -> int:
        """A process that runs this, and ends without what the supervisor would do at its end."""
        sys.stdout.flush()
        sys.stderr.flush()
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # One that came now would be lost on the child.
        pid = os.fork()
        if pid:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            return pid
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in _SIGNALS:
                signal.signal(number, signal.SIG_IGN if number == signal.SIGHUP else signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            die_with_parent()
            run()
            code = 0
        except EverloopError:
            code = 1  # It has been said over the pipe.
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 1
        except BaseException:
            log.exception("a worker failed")
        finally:
            sys.stderr.flush()
            os._exit(code)

    def _end(self) -> None:
        """Let everybody finish, and end those that do not."""
        self._listening.close()
        if self._standin:
            os.kill(self._standin, signal.SIGKILL)
            os.waitpid(self._standin, 0)
        for child in self.children.values():
            child.signal(signal.SIGTERM)
        until = perf_counter() + GRACE_SECONDS + HANG_GRACE_SECONDS
        for pid, child in self.children.items():
            while os.waitpid(pid, os.WNOHANG)[0] == 0:
                if perf_counter() > until:
                    child.signal(signal.SIGKILL)
                select.select([], [], [], 0.01)
            child.close()

    def _signalled(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGHUP:
            self._hung_up = True
        elif number != signal.SIGCHLD:
            self._stopping = True


_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)


def _error(problem: Problem) -> EverloopError:
    kinds: Mapping[str, type[EverloopError]] = {kind.code: kind for kind in _kinds(EverloopError)}
    return kinds.get(problem.code, Unavailable)(problem.message, hint=problem.hint)


def _kinds(kind: type[EverloopError]) -> list[type[EverloopError]]:
    return [kind, *(below for one in kind.__subclasses__() for below in _kinds(one))]
