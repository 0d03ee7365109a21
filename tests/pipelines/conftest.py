"""A project in a folder, whose files a test edits between two runs."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from everloop.app.platform import Platform
from everloop.catalog.session import Session
from everloop.pipelines.declare import Pipeline
from everloop.pipelines.entities import Execution
from everloop.pipelines.execution import execute
from everloop.pipelines.project import load


class Project:
    """A user's project: files that can be written, and a pipeline `steps:fit` that can be run."""

    def __init__(self, folder: Path, session: Session) -> None:
        self.folder = folder
        self.session = session
        self.output: object = None

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))

    def edit(self, name: str, before: str, after: str) -> None:
        text = (self.folder / name).read_text()
        assert before in text, f"{before!r} is not in {name}"
        (self.folder / name).write_text(text.replace(before, after))

    def pipeline(self, target: str = "steps:fit") -> Pipeline[..., object]:
        return load(self.folder, target, Pipeline)

    def run(self, target: str = "steps:fit", /, **arguments: object) -> Execution:
        execution, self.output = execute(self.session, self.pipeline(target), arguments)
        return execution

    def executed(self, target: str = "steps:fit", /, **arguments: object) -> list[str]:
        return self.run(target, **arguments).executed


@pytest.fixture
def idle(platform: Platform) -> Session:
    """A session that has not begun, as long use cases are given."""
    return platform.session()


@pytest.fixture
def project(tmp_path: Path, idle: Session) -> Iterator[Project]:
    """An empty project."""
    folder = tmp_path / "project"
    folder.mkdir()
    finders = list(sys.meta_path)
    yield Project(folder, idle)
    sys.meta_path[:] = finders  # Or each import looks into the folders of all projects before.
