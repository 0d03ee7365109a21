"""The house's own rules, held by reading the source: where time comes from, what names mean, what imports cost."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "everloop"
MODULES = sorted(SOURCE.rglob("*.py"))
FORBIDDEN_CALLS = re.compile(
    r"(datetime|date)\.(now|utcnow|today)|time\.(time|time_ns|localtime|gmtime)|uuid\.uuid[14]"
    r"|random\.(random|choice|choices|shuffle|sample|randint|randrange|seed|uniform)|(np|numpy)\.random\.(rand|randn|seed|choice|shuffle)"
)
ASKING = {SOURCE / "kernel" / "clock.py", SOURCE / "cli" / "parcels" / "data.py"}
"""The clock itself, and a script that `everloop init` writes for the user, who has no platform to ask."""
SUSPECT = re.compile(rf"{FORBIDDEN_CALLS.pattern}|default_rng|RandomState")
DRAWERS = {"utils", "util", "helpers", "helper", "common", "misc", "base", "manager", "tools"}
HEAVY = {
    "numpy",
    "pyarrow",
    "duckdb",
    "polars",
    "sqlalchemy",
    "alembic",
    "starlette",
    "uvicorn",
    "httpx",
    "rich",
    "lightgbm",
    "lmdb",
    "jinja2",
    "yaml",
}


@cache
def calls(module: Path) -> list[tuple[int, str, ast.Call]]:
    text = module.read_text()
    if not SUSPECT.search("".join(text.split())):
        return []  # Parsing every module takes a second.
    nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    return [(node.lineno, ast.unparse(node.func), node) for node in nodes]


def test_nothing_but_the_system_clock_asks_the_system_for_the_time() -> None:
    found = [
        f"{module.relative_to(ROOT)}:{line} {name}"
        for module in MODULES
        if module not in ASKING
        for line, name, _ in calls(module)
        if FORBIDDEN_CALLS.fullmatch(name)
    ]
    assert found == []


def test_every_generator_of_randomness_is_given_its_seed() -> None:
    found = [
        f"{module.relative_to(ROOT)}:{line} {name}"
        for module in MODULES
        for line, name, call in calls(module)
        if name.rpartition(".")[2] in {"default_rng", "RandomState"} and not call.args and not call.keywords
    ]
    assert found == []


def test_the_rule_catches_a_clock_that_is_asked() -> None:
    assert FORBIDDEN_CALLS.fullmatch("datetime.now")
    assert FORBIDDEN_CALLS.fullmatch("time.time")
    assert not FORBIDDEN_CALLS.fullmatch("time.perf_counter")
    assert not FORBIDDEN_CALLS.fullmatch("session.random.random")


def test_nothing_is_a_drawer() -> None:
    names = {module.stem for module in MODULES} | {module.parent.name for module in MODULES}
    assert names & DRAWERS == set()


@pytest.mark.parametrize(
    "area",
    [
        "datasets",
        "features",
        "tracking",
        "pipelines",
        "registry",
        "governance",
        "packaging",
        "serving",
        "rollouts",
        "monitoring",
        "loop",
    ],
)
def test_every_area_has_the_same_rooms(area: str) -> None:
    rooms = {path.name for path in (SOURCE / area).glob("*.py")}
    assert {"entities.py", "tables.py", "service.py"} <= rooms


def test_no_module_is_longer_than_the_longest_may_be() -> None:
    long = {str(module.relative_to(ROOT)): len(module.read_text().splitlines()) for module in MODULES}
    assert {name: lines for name, lines in long.items() if lines > 700} == {}


def test_every_backend_that_is_registered_can_be_loaded_from_its_file() -> None:
    registered = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    missing = [
        target
        for group in registered.values()
        for target in group.values()
        if not (ROOT / "src" / f"{target.partition(':')[0].replace('.', '/')}.py").is_file()
    ]
    assert missing == []


def test_every_runtime_dependency_has_a_decision() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {re.split(r"[><=\[; ]", dependency)[0].lower() for dependency in project["dependencies"]}
    decisions = "\n".join(page.read_text().lower() for page in (ROOT / "docs" / "decisions").glob("*.md"))
    unexplained = {
        name for name in names if name not in decisions and name.replace("pyarrow", "arrow") not in decisions
    }
    assert unexplained == set()


def loaded_by(statement: str) -> set[str]:
    """The libraries that a fresh interpreter has loaded when it is through with a statement."""
    code = f"import sys\ntry:\n    {statement}\nexcept SystemExit as end:\n    assert not end.code\nprint(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code, "--help"], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in ran.stdout.splitlines()[-1].split()}


@pytest.mark.slow
def test_importing_everloop_loads_no_heavy_library() -> None:
    assert loaded_by("import everloop") & HEAVY == set()


@pytest.mark.slow
def test_the_help_of_the_command_line_loads_no_heavy_library() -> None:
    loaded = loaded_by("from everloop.cli.main import main; main()")
    assert "click" in loaded
    assert loaded & HEAVY == set()


@pytest.mark.slow
def test_a_heavy_library_would_be_seen() -> None:
    assert loaded_by("import pyarrow") & HEAVY == {"numpy", "pyarrow"}
