"""What goes wrong outside: files, folders, databases, stores and the user's own code, as a newcomer meets it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from everloop.app.platform import open_platform
from everloop.app.settings import load
from everloop.kernel.errors import Misconfigured
from tests.cli.conftest import Everloop

pytestmark = pytest.mark.slow

NOW = "2100-01-01T00:00:00Z"


@pytest.fixture
def project(bare: Everloop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The example's project with its data, as the current folder."""
    bare("init", str(tmp_path / "parcels"), "--example")
    monkeypatch.chdir(tmp_path / "parcels")
    subprocess.run([sys.executable, "data.py"], check=True)
    for name in ("parcels.csv", "depots.csv"):
        assert bare("add", name).code == 0
    assert bare("apply").code == 0
    return tmp_path / "parcels"


def edit(project: Path, before: str, after: str) -> None:
    """Change the project's code."""
    module = project / "parcels" / "project.py"
    text = module.read_text()
    assert before in text
    module.write_text(text.replace(before, after))


def spoil(project: Path) -> None:
    """A version of the view's source in which its column has another name."""
    table = (project / "depots.csv").read_text()
    (project / "depots.csv").write_text(table.replace("queue", "length"))


@pytest.mark.slow
class TestTheUsersCode:
    def test_a_step_that_raises_is_named_with_its_exception_and_line(self, bare: Everloop, project: Path) -> None:
        edit(project, "    cut = joined", '    raise ZeroDivisionError("no parcels")\n    cut = joined')
        ran = bare("run", "fit", f"until={NOW}", "--json")
        assert ran.code == 7
        for part in ("Step split of fit", "ZeroDivisionError: no parcels", "project.py:"):
            assert part in ran.problem["message"]

    def test_code_that_is_none_says_where(self, bare: Everloop, project: Path) -> None:
        edit(project, "import everloop as el", "import everloop as el\ndef (")
        for words in (("apply",), ("run", "fit", f"until={NOW}")):
            ran = bare(*words, "--json")
            assert (ran.code, "SyntaxError" in ran.problem["message"]) == (7, True)

    def test_a_time_that_is_none_says_how_to_write_one(self, bare: Everloop, project: Path) -> None:
        ran = bare("run", "fit", "until=2026-01-01", "--json")
        assert (ran.code, "2026-03-01T00:00:00Z" in ran.problem["hint"]) == (2, True)

    def test_a_pipeline_that_failed_leaves_no_half_written_version(self, bare: Everloop, project: Path) -> None:
        edit(project, "    cut = joined", "    cut = joined.nothing")
        bare("run", "fit", f"until={NOW}")
        assert {one["name"] for one in bare("datasets", "list", "--json").json} == {"parcels", "depots"}


@pytest.mark.slow
class TestTheData:
    def test_a_source_without_the_views_column_is_refused_with_those_it_has(
        self, bare: Everloop, project: Path
    ) -> None:
        spoil(project)
        bare("add", "depots.csv", "--evolve", "any")
        ran = bare("apply", "--json")
        assert ran.code == 2
        assert "View 'depots' reads column 'queue'" in ran.problem["message"]
        assert ran.problem["hint"] == "It has depot, at, length."

    def test_a_source_that_lost_the_column_later_fails_the_pipeline_by_name(
        self, bare: Everloop, project: Path
    ) -> None:
        spoil(project)
        bare("add", "depots.csv", "--evolve", "any")
        ran = bare("run", "fit", f"until={NOW}", "--json")
        assert ran.code != 0
        assert "queue" in ran.problem["message"]
        assert bare("features", "materialize", "late", "--json").code == 2

    def test_content_that_is_an_older_version_is_said_to_be(self, bare: Everloop, project: Path) -> None:
        original = (project / "depots.csv").read_text()
        spoil(project)
        bare("add", "depots.csv", "--evolve", "any")
        (project / "depots.csv").write_text(original)
        added = bare("add", "depots.csv", "--evolve", "any")
        assert "Version 3 has the content that version 1 had." in added.out

    def test_a_table_that_lost_a_column_is_refused_until_that_is_meant(self, bare: Everloop, project: Path) -> None:
        spoil(project)
        ran = bare("add", "depots.csv", "--json")
        assert (ran.code, "queue is gone" in ran.problem["message"]) == (2, True)
        assert "evolve" in ran.problem["hint"]
        assert bare("datasets", "get", "depots", "--json").json["version"] == 1

    def test_an_object_that_is_corrupted_is_named(self, bare: Everloop, project: Path) -> None:
        digest = bare("datasets", "get", "depots", "--json").json["digest"]
        (file,) = (project / ".everloop" / "store").rglob(f"{digest[2:]}")
        content = bytearray(file.read_bytes())
        content[10] ^= 1
        file.write_bytes(content)
        ran = bare("datasets", "preview", "depots", "--json")
        assert (ran.code, digest in ran.problem["message"]) == (8, True)


class TestTheSettings:
    @pytest.mark.parametrize(
        ("variable", "value", "code"),
        [
            ("DATABASE_URL", "postgresql://me:hunter2@127.0.0.1:1/x", 9),
            ("DATABASE_URL", "postgresql://me:hunter2@[::1", 10),
            ("DATABASE_URL", "mysql://me:hunter2@host/x", 10),
            ("DATABASE_URL", "sqlite:////proc/nowhere/x.db", 10),
            ("ONLINE_STORE_URL", "redis://:hunter2@127.0.0.1:1/0", 9),
            ("ONLINE_STORE_URL", "redis://:hunter2@127.0.0.1:port/0", 10),
            ("ONLINE_STORE_URL", "redis://:hunter2@[::1/0", 10),
            ("ONLINE_STORE_URL", "/tmp/features", 10),
            ("STORE_URL", "s3://", 10),
            ("STORE_URL", "file://store", 10),
            ("STORE_URL", "file://", 10),
            ("STORE_URL", "ftp://me:hunter2@host/x", 10),
            ("PROJECT", "a/b", 2),
            ("CLOCK", "moon", 10),
            ("HOME", "/etc/passwd", 10),
            ("HOME", "/etc/passwd/home", 10),
        ],
    )
    def test_what_cannot_be_reached_or_meant_is_said_without_its_password(
        self, bare: Everloop, project: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, code: int
    ) -> None:
        monkeypatch.setenv(f"EVERLOOP_{variable}", value)
        ran = bare("features", "materialize", "late", "--json")
        assert ran.code == code
        assert ran.problem["message"]
        assert ran.problem["hint"]
        assert "hunter2" not in ran.err + ran.out

    def test_doctor_shows_no_password_of_a_database_that_is_away(
        self, bare: Everloop, project: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("EVERLOOP_DATABASE_URL", "postgresql://me:hunter2@127.0.0.1:1/x")
        ran = bare("doctor")
        assert ran.code == 10
        assert "did not answer" in ran.out
        assert "hunter2" not in ran.out + ran.err

    def test_a_home_that_cannot_be_written_is_named(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            Path(folder).chmod(0o555)
            assert without_rights(folder) == f"The home folder {folder} cannot be written."


def without_rights(folder: str) -> str:
    """What opening a home says to a user without rights, in a process of its own; root may write everywhere."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        said = "nothing"
        try:
            if os.geteuid() == 0:
                os.setgid(65534)
                os.setuid(65534)
            open_platform(load({"home": folder}, environment={}, folder=Path("/")))
        except Misconfigured as error:
            said = error.message
        finally:
            os.write(writer, said.encode())
            os._exit(0)
    os.waitpid(child, 0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        return pipe.read()
