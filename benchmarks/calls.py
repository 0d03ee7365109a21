"""A use case through each door, beside the bare function, a bare Starlette app and a bare start of Python."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from benchmarks import scratch
from benchmarks.children import executed, served
from benchmarks.harness import Figure, Side, children_seconds, compare, repeated
from everloop.app.platform import Platform
from everloop.sdk.platform import Everloop
from everloop.tracking import service as tracking

CALLS = 100
STARTS = 3


def run() -> Sequence[Figure]:
    """In process, over HTTP, and as a command."""
    platform = scratch.platform()
    platform.call("experiments.create", {"name": "x"})
    return [*_in_process(platform), *_over_http(platform), *_commands()]


def _in_process(platform: Platform) -> Sequence[Figure]:
    session, ever = platform.session(), Everloop(platform)

    def read() -> None:
        with session.begin(write=False) as unit:
            tracking.get_experiment(unit, "x")

    direct = Side("the function in a session", repeated(read, CALLS))
    bare = scratch.bare_sqlite("CREATE TABLE x (name TEXT PRIMARY KEY)", "INSERT INTO x VALUES ('x')")
    select = repeated(lambda: bare.execute("SELECT * FROM x WHERE name = ?", ("x",)).fetchone(), CALLS)
    by_name = repeated(lambda: platform.call("experiments.get", {"name": "x"}), CALLS)
    by_group = repeated(lambda: ever.experiments.get("x"), CALLS)
    return [
        compare("platform.call, a read", Side("platform", by_name), direct, each=CALLS),
        compare("SDK in process, a read", Side("SDK", by_group), direct, each=CALLS),
        compare("the function in a session", direct, Side("bare SQLite SELECT", select), each=CALLS),
    ]


def _over_http(platform: Platform) -> Sequence[Figure]:
    home = platform.resources.home
    with served("everloop", "server", home=home) as door, served("benchmarks.echo") as echo:
        return [
            compare(
                "REST, a read, in the server",
                Side("everloop server", repeated(lambda: door.get("/api/v1/experiments/x"), CALLS), meter=door.meter),
                Side("bare Starlette", repeated(lambda: echo.get("/api/v1/experiments/x"), CALLS), meter=echo.meter),
                each=CALLS,
            )
        ]


def _commands() -> Sequence[Figure]:
    bare = _started("python -c pass", "-c", "pass")
    return [
        compare(what, _started(what, *arguments), bare, each=STARTS, unit="ms", rounds=5)
        for what, arguments in {
            "import everloop": ("-c", "import everloop"),
            "everloop --help": ("-m", "everloop", "--help"),
            "everloop experiments list --help": ("-m", "everloop", "experiments", "list", "--help"),
        }.items()
    ]


def _started(name: str, *arguments: str) -> Side:
    work = repeated(lambda: executed([sys.executable, *arguments]), STARTS)
    return Side(name, work, meter=children_seconds)
