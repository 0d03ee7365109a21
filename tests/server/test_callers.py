"""Who tokens belong to, remembered: for a moment that a revocation can do with."""

from __future__ import annotations

import pytest

from everloop.app.settings import Settings
from everloop.governance import tokens
from everloop.governance.entities import Principal
from everloop.kernel.errors import Unauthenticated
from everloop.server import callers
from everloop.server.callers import Callers
from everloop.server.security import Gate

ANN = Principal("ann", ("reader",))


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the clock says, in its only place."""
    at = [100.0]
    monkeypatch.setattr(callers, "perf_counter", lambda: at[0])
    return at


def test_a_revoked_token_counts_no_more_within_a_second_everywhere() -> None:
    assert callers.STALE_SECONDS + tokens.FRESH_SECONDS <= 1.0


def test_one_looks_again_while_the_others_go_by_what_is_remembered(now: list[float]) -> None:
    known = Callers(Gate(Settings(), lambda secret: ANN))
    assert known.remembered("x") is None
    assert known("x") == ANN
    now[0] += callers.FRESH_SECONDS * 0.9
    assert known.remembered("x") == ANN
    now[0] += callers.FRESH_SECONDS * 0.2
    assert [known.remembered("x"), known.remembered("x")] == [None, ANN]
    now[0] += callers.STALE_SECONDS
    assert known.remembered("x") is None


def test_a_token_that_lets_nobody_in_any_more_is_forgotten_at_once(now: list[float]) -> None:
    revoked = False

    def look_up(secret: str) -> Principal:
        if revoked:
            raise Unauthenticated("The token was revoked.")
        return ANN

    known = Callers(Gate(Settings(), look_up))
    known("x")
    revoked = True
    with pytest.raises(Unauthenticated):
        known("x")
    assert known.remembered("x") is None
