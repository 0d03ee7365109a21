"""What came out of MLflow's tests, with MLflow's server and with ours, as JSON and as a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tests.server.mlflow.conformance.suites import out_of_scope

Outcomes = Mapping[str, str]
"""`passed`, `failed` or `skipped` by test."""


def outcomes(lines: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """How each test ended: it has passed when none of its phases failed or was skipped."""
    found: dict[str, str] = {}
    for line in lines:
        if line["outcome"] == "rerun":
            found.pop(line["test"], None)
        elif found.get(line["test"], "passed") == "passed":
            found[line["test"]] = line["outcome"]
    return found


@dataclass(frozen=True)
class Compared:
    """A suite: what passes with MLflow's own server and is in the door's scope, and what of that passes with ours."""

    suite: str
    theirs: list[str]
    ours: list[str]
    failed: list[str]
    beyond: Mapping[str, int] = field(default_factory=dict)


def compare(suite: str, theirs: Outcomes, ours: Outcomes) -> Compared:
    """The suite's figures."""
    passed = sorted(test for test, outcome in theirs.items() if outcome == "passed")
    within = [test for test in passed if not out_of_scope(test)]
    parts = [out_of_scope(test) for test in passed if out_of_scope(test)]
    return Compared(
        suite=suite,
        theirs=within,
        ours=[test for test in within if ours.get(test) == "passed"],
        failed=[test for test in within if ours.get(test, "failed") != "passed"],
        beyond={part: parts.count(part) for part in sorted(set(parts))},
    )


def table(compared: Iterable[Compared]) -> str:
    """The figures as a Markdown table, and what fails with ours alone below it."""
    rows = list(compared)
    lines = ["| suite | passed by MLflow's server | passed by ours |", "|---|---|---|"]
    lines += [f"| {row.suite} | {len(row.theirs)} | {len(row.ours)} |" for row in rows]
    lines += [f"| all | {sum(len(row.theirs) for row in rows)} | {sum(len(row.ours) for row in rows)} |", ""]
    return "\n".join(lines + [f"- `{test}`" for row in rows for test in row.failed]) + "\n"
