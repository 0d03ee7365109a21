"""Hostile input at every door: each use case, each of its parameters, wrong in many ways.

Whatever comes in, the answer says what is wrong and what to do, with the right status or exit code; nothing of the
server's inside shows; and what is refused leaves no trace in the catalog.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from anyio.from_thread import start_blocking_portal
from starlette import testclient
from starlette.testclient import TestClient

from everloop.app.platform import Platform, open_platform
from everloop.app.settings import load
from everloop.cli.door import Door, run
from everloop.cli.main import commands
from everloop.kernel.errors import EverloopError, Problem, error_of
from everloop.kernel.usecase import published
from tests.server.conftest import client_of
from tests.server.hostile import Wrong, in_python, is_told_well, marks, path_of, play, words_of, wrong_calls

API = "/api/v1"
DOORS = ("rest", "python", "command line")
LONGEST_URL = 8_000
_TOO_LONG = (httpx.InvalidURL, vars(testclient)["httpx"].InvalidURL)
"""Starlette's client may be made of a fork of ours."""

Problems = Callable[[Platform, Wrong], Problem | None]
"""A door: what it says against a call, or None when it took it."""


def at_rest(platform: Platform, wrong: Wrong) -> Problem | None:
    """Over HTTP, as anybody's client sends it; the status must be the error's own."""
    usecase = published()[wrong.usecase]
    path, rest = path_of(usecase, wrong.arguments)
    if usecase.method in ("GET", "DELETE"):
        given: dict[str, Any] = {"params": {n: v if isinstance(v, str) else dumped(v) for n, v in rest.items()}}
    else:
        given = {"content": dumped(rest), "headers": {"content-type": "application/json"}}
    try:
        answer = client(platform).request(usecase.method, f"{API}{path}", **given)
    except _TOO_LONG:
        return Problem("invalid_input", "No client sends an address as long as this.")
    if answer.is_success:
        return None
    problem = msgspec.convert(answer.json()["error"], Problem)
    assert answer.status_code in (error_of(problem).status, 405), answer.text  # 405: an empty name is no path.
    assert answer.status_code < 500, answer.text
    assert set(answer.json()["error"]) == {"code", "message", "hint"}
    return problem


def on_the_command_line(platform: Platform, wrong: Wrong) -> Problem | None:
    """As words in a shell: the exit code is the error's own, and standard output stays empty."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = run(commands, words_of(published()[wrong.usecase], wrong.arguments), Door(platform))
    if out.getvalue():
        return None  # An answer, though it may be a verdict that has an exit code.
    problem = msgspec.convert(msgspec.json.decode(err.getvalue())["error"], Problem)
    assert code == error_of(problem).exit_code
    return problem


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A current folder of its own, for what is exported to oddly named folders."""
    monkeypatch.chdir(tmp_path)


ASK: Mapping[str, Problems] = {"rest": at_rest, "python": in_python, "command line": on_the_command_line}
_clients: dict[int, TestClient] = {}


def client(platform: Platform) -> TestClient:
    """The platform's server."""
    return _clients.setdefault(id(platform), client_of(platform))


def dumped(value: Any) -> str:
    """A value as JSON."""
    return msgspec.json.encode(value).decode()


@pytest.fixture(scope="module", params=DOORS)
def worked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A door, its platform after a day's work, and the wrong calls that this door gets: the doors take turns."""
    home = tmp_path_factory.mktemp("hostile") / "home"
    platform = open_platform(load({"home": str(home), "seed": 7}, environment={}, folder=home.parent))
    calls = list(wrong_calls(play(platform)))
    turn = DOORS.index(request.param)
    with start_blocking_portal() as portal:
        client(platform).portal = portal  # An event loop for all requests, not one for each.
        yield request.param, platform, calls[turn :: len(DOORS)]
    platform.close()


@pytest.mark.slow
@pytest.mark.timeout(400)
class TestHostileInput:
    def test_it_is_refused_in_words_and_leaves_no_trace(self, worked: tuple[str, Platform, list[Wrong]]) -> None:
        door, platform, calls = worked
        before = marks(platform)
        refused = 0
        for wrong in calls:
            problem = ASK[door](platform, wrong)
            after = marks(platform)
            if problem is None:
                before = after
                continue
            refused += 1
            assert is_told_well(problem), (str(wrong), problem)
            assert error_of(problem).status < 500, (str(wrong), problem)
            assert after == before, f"{wrong} was refused and yet left a trace"
            before = after
        assert refused > len(calls) / 2

    def test_the_ledger_is_intact_afterwards(self, worked: tuple[str, Platform, list[Wrong]]) -> None:
        assert worked[1].call("audit.verify", {}).intact


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_what_no_platform_could_accept_is_accepted_by_none(tmp_path: Path) -> None:
    platform = open_platform(load({"home": str(tmp_path / "home")}, environment={}, folder=tmp_path))
    accepted = [
        str(wrong) for wrong in wrong_calls(play(platform)) if wrong.surely and in_python(platform, wrong) is None
    ]
    platform.close()
    assert accepted == []


@pytest.mark.parametrize("text", ["\x00", "a\x00b", "\ud800", "x\\\x00"])
def test_a_text_that_no_database_could_keep_is_wrong_input_at_all_of_them(platform: Platform, text: str) -> None:
    with pytest.raises(EverloopError) as caught:
        platform.call("experiments.create", {"name": "x", "description": text})
    assert caught.value.code == "invalid_input"


def test_a_text_that_only_spells_a_nul_is_kept(platform: Platform) -> None:
    assert platform.call("experiments.create", {"name": "x", "description": r"\u0000"}).description == r"\u0000"


def test_an_error_does_not_give_back_an_endless_text(http: TestClient) -> None:
    body = {"name": "x", "sql": "x" * 1_000_000, "inputs": []}
    answer = http.post(f"{API}/datasets/x/derivations", json={key: body[key] for key in ("sql", "inputs")})
    assert answer.status_code == 400
    assert len(answer.content) < 10_000


def test_what_is_no_urn_has_no_lineage(http: TestClient) -> None:
    answer = http.get(f"{API}/lineage", params={"urn": "../../etc"})
    assert answer.status_code == 400
    assert "kind:project/name@version" in answer.json()["error"]["hint"]
