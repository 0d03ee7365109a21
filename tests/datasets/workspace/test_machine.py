"""A working copy held to a plain dictionary: whatever is done to the folder, versions come back as they were."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from everloop.backends.blobs.folder import FolderBlobs
from everloop.datasets.entities import Snapshot
from everloop.datasets.workspace.workspace import Workspace
from everloop.kernel.errors import Refused
from everloop.store.service import Store
from tests.datasets.workspace.conftest import read, write
from tests.examples import examples

PATHS = st.sampled_from(["a", "b", "c/a", "c/b", "c/d/e", "f/g", "link"])
CONTENTS = st.sampled_from(["", "one", "two", "three"])


class Catalog:
    """A catalog of one dataset in memory, over a real store."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.store = Store(FolderBlobs(home / "store"))
        self.snapshots: list[Snapshot] = []

    def version(self, dataset: str, number: int) -> None:
        """Nothing is known without a call."""

    def call(self, name: str, arguments: dict[str, Any]) -> Any:
        if name == "datasets.log":
            return self.snapshots[::-1]
        if name == "datasets.get":
            return self.snapshots[int(arguments["at"]) - 1]
        entries = self.store.tree(arguments["digest"])
        number, size = len(self.snapshots) + 1, sum(entry.size for entry in entries)
        made = Snapshot(
            "d",
            number,
            arguments["digest"],
            0,
            size,
            (),
            (),
            "",
            datetime(2026, 1, 1, tzinfo=UTC),
            kind="files",
            files=len(entries),
            commit=f"{number:064d}",
        )
        self.snapshots.append(made)
        return made


class Folder(RuleBasedStateMachine):
    """Edits of a folder, adds, and checkouts of any version."""

    versions = Bundle("versions")

    @initialize(target=versions)
    def begin(self) -> Any:
        self.top = Path(tempfile.mkdtemp())
        self.folder = write(self.top / "data", {"a": "one", "c/b": "two", "c/d/e": "three", "f/g": ""})
        self.catalog = Catalog(self.top / "home")
        self.kept: dict[int, dict[str, str]] = {}
        return self.add()

    def work(self) -> Workspace:
        return Workspace(self.folder, self.catalog)  # type: ignore[arg-type]

    def files(self) -> dict[str, str]:
        return {path: text for path, text in read(self.folder).items() if not path.endswith("/")}

    @rule(path=PATHS, text=CONTENTS)
    def change(self, path: str, text: str) -> None:
        target = self.folder / path
        if target.is_symlink():
            target.unlink()
        write(self.folder, {path: text})

    @rule(number=st.integers(0, 6))
    def remove(self, number: int) -> None:
        present = sorted(self.files())
        if present:
            (self.folder / present[number % len(present)]).unlink()

    @rule()
    def point(self) -> None:
        (self.folder / "link").unlink(missing_ok=True)
        (self.folder / "link").symlink_to("c/a")

    @rule(path=PATHS)
    def flip(self, path: str) -> None:
        target = self.folder / path
        if target.is_file() and not target.is_symlink():
            target.chmod(target.stat().st_mode ^ 0o100)

    @rule()
    def forget(self) -> None:
        shutil.rmtree(self.top / "home" / "workspace", ignore_errors=True)

    @rule(target=versions)
    def add_again(self) -> Any:
        return self.add()

    def add(self) -> int:
        made = self.work().add()
        self.kept[made.version] = self.files()
        self.shown = made.version
        assert self.work().status().clean
        return made.version

    @rule(version=versions)
    def switch(self, version: int) -> None:
        before = self.files()
        try:
            self.work().checkout(str(version))
        except Refused:
            assert self.files() == before
            self.work().checkout(str(version), force=True)
        self.shown = version
        for path, text in self.kept[version].items():
            assert self.files()[path] == text
        assert all(change.state == "added" for change in self.work().status().changes)

    @rule()
    def lose_everything(self) -> None:
        shutil.rmtree(self.folder)
        self.work().checkout()
        assert self.files() == self.kept[self.shown]

    @invariant()
    def a_status_says_what_differs(self) -> None:
        if not hasattr(self, "shown"):
            return
        committed, found = self.kept[self.shown], self.files()
        changes = self.work().status().changes
        told = {change.path for change in changes if not change.path.endswith("/")} | {c.before for c in changes}
        assert {path for path in committed.keys() | found if committed.get(path) != found.get(path)} <= told

    def teardown(self) -> None:
        shutil.rmtree(getattr(self, "top", ""), ignore_errors=True)


TestFolder = pytest.mark.slow(Folder.TestCase)
Folder.TestCase.settings = settings(max_examples=examples(40), stateful_step_count=20, deadline=None)


@pytest.mark.slow
@pytest.mark.parametrize("moment", [0.3, 0.6, 0.9, 1.2])
def test_a_checkout_that_is_killed_is_gone_on_with(home: Path, tmp_path: Path, moment: float) -> None:
    folder = write(tmp_path / "many", {f"{n // 100}/{n}.bin": os.urandom(2000) for n in range(4000)})
    before = read(folder)
    code = "import sys; from everloop.cli.main import main; main()"

    def command(*words: str) -> list[str]:
        return [sys.executable, "-c", code, "data", *words, str(folder), "--home", str(home), "--json"]

    subprocess.run(command("add"), check=True, capture_output=True)
    shutil.rmtree(folder)
    started = subprocess.Popen(command("checkout"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(moment)
    started.send_signal(signal.SIGKILL)
    started.wait()
    subprocess.run(command("checkout"), check=True, capture_output=True)
    assert read(folder) == before
    assert b'"clean":true' in subprocess.run(command("status"), check=True, capture_output=True).stdout
