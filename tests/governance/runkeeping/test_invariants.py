"""Whatever is done in whatever order: what something refers to can be read, and what was freed is gone."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from everloop.app.platform import Platform, open_platform
from everloop.app.settings import load
from everloop.store.entities import Digest
from tests.conftest import unsynced
from tests.governance.runkeeping.test_service import freed, registered, rows_with, run_of
from tests.homes import fresh


class Keeping(RuleBasedStateMachine):
    """Runs are made, deleted, restored, registered, held and freed."""

    runs = Bundle("runs")
    versions = Bundle("versions")

    @initialize()
    def open(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        loaded = load({"home": str(fresh(self.folder / "home")), "seed": 7}, environment={}, folder=self.folder)
        self.platform: Platform = open_platform(loaded)
        unsynced(self.platform)
        self.parents: dict[str, str] = {}
        self.deleted: set[str] = set()
        self.held: set[str] = set()
        self.of_version: dict[int, str] = {}
        self.gone: set[str] = set()

    def teardown(self) -> None:
        if hasattr(self, "platform"):
            self.platform.close()
            shutil.rmtree(self.folder)

    def there(self, run: str) -> bool:
        return run not in self.gone

    @rule(target=runs)
    def begin(self) -> str:
        made = run_of(self.platform)
        self.platform.call("runs.finish", {"id": made.id})
        self.parents[made.id] = ""
        return made.id

    @rule(target=runs, parent=runs)
    def begin_child(self, parent: str) -> object:
        if not self.there(parent):
            return multiple()
        made = run_of(self.platform, parent=parent)
        self.platform.call("runs.finish", {"id": made.id})
        self.parents[made.id] = parent
        return made.id

    @rule(run=runs)
    def delete(self, run: str) -> None:
        if self.there(run):
            self.platform.call("runs.delete", {"id": run})
            self.deleted.add(run)

    @rule(run=runs)
    def restore(self, run: str) -> None:
        if self.there(run):
            self.platform.call("runs.restore", {"id": run})
            self.deleted.discard(run)

    @rule(target=versions, run=runs)
    def register(self, run: str) -> object:
        if not self.there(run):
            return multiple()
        version: int = registered(self.platform, run).version
        self.of_version[version] = run
        return version

    @rule(version=consumes(versions))
    def withdraw(self, version: int) -> None:
        self.platform.call("models.delete_version", {"name": "m", "version": version, "reason": "x"})
        del self.of_version[version]

    @rule(run=runs)
    def hold(self, run: str) -> None:
        if self.there(run):
            self.platform.call("governance.hold", {"urn": f"run:default/{run}", "reason": "case"})
            self.held.add(run)

    @rule(run=runs)
    def release(self, run: str) -> None:
        if run in self.held:
            self.platform.call("governance.release", {"urn": f"run:default/{run}", "reason": "closed"})
            self.held.discard(run)

    @rule()
    def free(self) -> None:
        expected = self.may_go()
        told = {one.urn.rpartition("/")[2] for one in self.platform.call("runs.gc", {"older_than": "0s"}).freed}
        done = {one.urn.rpartition("/")[2] for one in freed(self.platform).freed}
        assert told == done == expected
        self.gone |= done

    def may_go(self) -> set[str]:
        """What nothing needs, by the plain definition: hidden, not held, of no version, and so are all below it."""
        left = {run for run in self.parents if self.there(run)}
        needed = {run for run in left if run not in self.deleted or run in self.held}
        needed |= set(self.of_version.values())
        while more := {self.parents[run] for run in needed if self.parents[run]} - needed:
            needed |= more
        return left - needed

    @invariant()
    def what_is_there_is_whole_and_what_is_gone_is_gone(self) -> None:
        if not hasattr(self, "platform"):
            return
        for run in self.parents:
            if not self.there(run):
                assert rows_with(self.platform, run) == set()
                continue
            assert self.platform.call("runs.get", {"id": run}).metrics == {"loss": 49.0}
            (file,) = self.platform.call("runs.artifacts", {"id": run})
            assert self.platform.resources.store.get(Digest(file.digest)) == b"file of " + run.encode()

    @invariant()
    def searches_find_what_is_there_and_not_hidden(self) -> None:
        if hasattr(self, "platform"):
            found = {run.id for run in self.platform.call("runs.search", {"where": ""})}
            assert found == {run for run in self.parents if self.there(run)} - self.deleted


Keeping.TestCase.settings = settings(max_examples=8, stateful_step_count=12, deadline=None)
TestKeeping = pytest.mark.slow(Keeping.TestCase)
