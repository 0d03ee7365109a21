"""The report of MLflow's own tests: what counts, and what is said to fail."""

from __future__ import annotations

from tests.server.mlflow.conformance.report import compare, outcomes, table
from tests.server.mlflow.conformance.suites import out_of_scope

A, B, GATEWAY = "tests/t.py::test_a", "tests/t.py::test_b[x]", "tests/t.py::test_create_gateway_route"


def phase(test: str, outcome: str) -> dict[str, str]:
    return {"test": test, "phase": "call", "outcome": outcome}


def test_a_test_has_passed_when_none_of_its_phases_failed() -> None:
    lines = [phase(A, "passed"), phase(A, "passed"), phase(B, "passed"), phase(B, "failed"), phase(B, "passed")]
    assert outcomes(lines) == {A: "passed", B: "failed"}


def test_a_test_that_was_tried_again_counts_as_it_ended() -> None:
    assert outcomes([phase(A, "passed"), phase(A, "rerun"), phase(A, "passed")]) == {A: "passed"}


def test_what_mlflow_s_own_server_does_not_pass_or_the_door_is_not_for_is_not_counted() -> None:
    theirs = {A: "passed", B: "failed", GATEWAY: "passed"}
    compared = compare("rest", theirs, {A: "passed", B: "failed"})
    assert (compared.theirs, compared.ours, compared.failed) == ([A], [A], [])
    assert compared.beyond == {out_of_scope(GATEWAY): 1}


def test_what_was_not_run_with_ours_counts_as_failed_and_is_named() -> None:
    text = table([compare("rest", {A: "passed", B: "passed"}, {A: "passed"})])
    assert "| rest | 2 | 1 |" in text
    assert f"- `{B}`" in text
