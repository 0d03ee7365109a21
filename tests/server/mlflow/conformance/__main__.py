"""Run MLflow's own tests against our server: `python -m tests.server.mlflow.conformance CHECKOUT`."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from tests.server.mlflow.conformance.report import Compared, compare, outcomes, table
from tests.server.mlflow.conformance.suites import SUITES, out_of_scope

PLUGIN = Path(__file__).with_name("plugin")
TIMEOUT = 60
"""Seconds for one test: MLflow's client goes on trying for minutes where a server answers 500."""


def main(words: Sequence[str]) -> int:
    """Run what is asked for, print the table; the exit code says whether ours passes all that MLflow's passes."""
    asked = _parser().parse_args(words)
    results = Path(asked.results).absolute()
    results.mkdir(parents=True, exist_ok=True)
    compared = [_suite(asked, results, suite) for suite in (asked.only or SUITES)]
    if asked.peer:
        return 0
    text = table(compared)
    (results / "conformance.md").write_text(text)
    (results / "conformance.json").write_text(json.dumps([asdict(row) for row in compared], indent=1))
    sys.stdout.write(text)
    return int(any(row.failed for row in compared))


def _suite(asked: argparse.Namespace, results: Path, suite: str) -> Compared:
    """Run a suite with one server; of ours only those tests are asked that MLflow's server passes."""
    known = results / f"{suite}.mlflow.json"
    if asked.peer:
        theirs = _run(asked, "mlflow", suite, [])
        known.write_text(json.dumps(theirs, indent=1))
        return compare(suite, theirs, {})
    if not known.exists():
        sys.exit(f"{known} is missing: run it with --peer first, to know which tests MLflow's own server passes.")
    theirs = json.loads(known.read_text())
    wanted = [test for test, outcome in theirs.items() if outcome == "passed" and not out_of_scope(test)]
    return compare(suite, theirs, _run(asked, "everloop", suite, wanted))


def _run(asked: argparse.Namespace, server: str, suite: str, tests: list[str]) -> dict[str, str]:
    """Run a suite's tests with a server, all of them where none is named, and say how each ended."""
    with tempfile.TemporaryDirectory(prefix="everloop-conformance-") as folder:
        lines = Path(folder) / "outcomes.jsonl"
        lines.touch()
        order = {"server": server, "tests": tests, "outcomes": str(lines), "path": os.environ.get("PYTHONPATH", "")}
        order["command"] = [sys.executable, "-m", "everloop"]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("EVERLOOP_")} | {
            "EVERLOOP_CONFORMANCE": json.dumps(order),
            "PYTHONPATH": str(PLUGIN),
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }
        options = ["-q", "-p", "everloop_conformance", "-p", "no:cacheprovider", "-o", f"timeout={TIMEOUT}"]
        options += ["--no-header", "--tb=short", "-o", "addopts="] + (["-k", asked.k] if asked.k else [])
        command = [asked.python, "-m", "pytest", *options, *SUITES[suite]]
        with (Path(asked.results) / f"{suite}.{server}.log").open("wb") as log:
            subprocess.run(command, cwd=asked.checkout, env=environment, stdout=log, stderr=log, check=False)
        return outcomes(map(json.loads, lines.read_text().splitlines()))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.server.mlflow.conformance", description=__doc__)
    parser.add_argument("checkout", help="a checkout of MLflow's repository, with tests/ and mlflow/")
    parser.add_argument("--python", default=sys.executable, help="the Python that has MLflow's requirements and pytest")
    parser.add_argument("--only", action="append", choices=tuple(SUITES), help="one suite; can be given again")
    parser.add_argument("--peer", action="store_true", help="run with MLflow's own server, and keep what passes")
    parser.add_argument("--results", default="conformance", help="the folder for results and logs")
    parser.add_argument("-k", help="only tests that match, as in pytest")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
