"""Bytecode: it runs, it is the same each time, and no path of this machine is in it."""

from __future__ import annotations

import importlib.util
import py_compile
import subprocess
import sys
from pathlib import Path

import pytest

from everloop.packaging.bytecode import compiled, place_of

SOURCE = b"def double(x):\n    inner = lambda y: y * 2\n    return inner(x)\nNAMES = frozenset({'a', 'b', 'c'})\n"


def test_python_runs_it_without_the_source(tmp_path: Path) -> None:
    (tmp_path / "shown.pyc").write_bytes(compiled(SOURCE, "/opt/shown.py") or b"")
    program = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import shown; print(shown.double(21))"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout == b"42\n"


def test_tracebacks_name_the_place_in_the_package() -> None:
    data = compiled(SOURCE, "/opt/shown.py") or b""
    assert data.count(b"/opt/shown.py") >= 1


def test_what_python_keeps_beside_a_source_gives_the_same(tmp_path: Path) -> None:
    path = tmp_path / "shown.py"
    path.write_bytes(SOURCE)
    fresh = compiled(SOURCE, "/opt/shown.py", path)
    py_compile.compile(str(path))
    kept = compiled(SOURCE, "/opt/shown.py", path)
    assert fresh == kept
    assert str(tmp_path).encode() not in (kept or b"")


def test_what_python_keeps_of_an_older_source_is_not_taken(tmp_path: Path) -> None:
    path = tmp_path / "shown.py"
    path.write_bytes(b"LONG_AGO = True\n")
    py_compile.compile(str(path))
    path.write_bytes(SOURCE)
    assert compiled(SOURCE, "/opt/shown.py", path) == compiled(SOURCE, "/opt/shown.py")


@pytest.mark.slow
def test_another_process_makes_the_same_bytes() -> None:
    program = (
        "import sys, hashlib; from everloop.packaging.bytecode import compiled;"
        f" print(hashlib.sha256(compiled({SOURCE!r}, '/opt/shown.py')).hexdigest())"
    )
    made = {
        subprocess.run(
            [sys.executable, "-c", program], capture_output=True, check=True, env={"PYTHONHASHSEED": seed}
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert len(made) == 1


def test_its_header_makes_python_trust_it_whatever_the_time() -> None:
    data = compiled(SOURCE, "/opt/shown.py") or b""
    assert data[:8] == importlib.util.MAGIC_NUMBER + b"\x01\0\0\0"
    assert data[8:16] == importlib.util.source_hash(SOURCE)


@pytest.mark.parametrize("source", [b"def (", b"\0", b"print 'two'"])
def test_what_does_not_compile_has_none(source: bytes) -> None:
    assert compiled(source, "/opt/shown.py") is None


def test_the_place_is_where_python_looks() -> None:
    assert place_of("a/b.py") == importlib.util.cache_from_source("a/b.py")
