"""Gates: what a challenger must pass before it meets a request.

Pure functions of what both models said about the same labelled rows. A gate never raises for a bad model: it refuses,
with its grounds. `examination.py` gathers the rows and the models, and asks every gate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from time import perf_counter
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from everloop.datasets.quality.entities import CheckReport
from everloop.datasets.quality.gating import failures_in
from everloop.datasets.quality.words import finding_of
from everloop.kernel.usecase import Json
from everloop.loop.entities import (
    BetterThan,
    ChecksPass,
    Gate,
    GateResult,
    Latency,
    ModelTests,
    NoSliceWorse,
    PackageScan,
)
from everloop.loop.paired import Comparison, compare
from everloop.registry.entities import Finding

if TYPE_CHECKING:
    from numpy.typing import NDArray

WARM_UP, ROUNDS, CALLS = 30, 3, 200
"""Single-row predictions that latency is measured on: the best of some rounds, since other processes disturb."""
SHOWN = 3
"""How many slices or findings a message names; the evidence has more."""


@dataclass(frozen=True)
class Duel:
    """Challenger and champion on the same labelled rows. `champion` is none where there is nothing to compare with;
    `absent` says why."""

    truth: NDArray[np.float64]
    challenger: NDArray[np.float64]
    champion: NDArray[np.float64] | None = None
    absent: str = ""


def better_than(gate: BetterThan, duel: Duel) -> GateResult:
    """Whether the challenger beats the champion with significance."""
    if duel.champion is None:
        return _without_champion("better_than", duel)
    found = compare(gate.metric, duel.truth, duel.challenger, duel.champion)
    if found is None:
        return GateResult("better_than", False, _undecided(duel))
    passed = found.gain > 0 and found.p_better <= gate.alpha
    verdict = "better" if passed else "not better with significance" if found.gain > 0 else "not better"
    message = (
        f"{gate.metric} {found.challenger:.4f} against {found.champion:.4f} of {gate.alias} "
        f"on {found.n} labelled rows: {verdict} (p {found.p_better:.2g}, alpha {gate.alpha:g})."
    )
    return GateResult("better_than", passed, message, msgspec.to_builtins(found))


def no_slice_worse(gate: NoSliceWorse, duel: Duel, groups: NDArray[np.object_]) -> GateResult:
    """Whether the challenger holds up in every slice that is large enough to tell."""
    if duel.champion is None:
        return _without_champion("no_slice_worse", duel)
    slices = _slices(gate, duel, duel.champion, groups)
    if not slices:
        return GateResult(
            "no_slice_worse", False, f"No slice of {gate.column} has {gate.minimum} rows of both classes."
        )
    alpha = gate.alpha / len(slices)
    worse = {name: found for name, found in slices.items() if -found.gain > gate.by and found.p_worse <= alpha}
    evidence = {name: round(found.gain, 6) for name, found in sorted(slices.items(), key=lambda item: item[1].gain)}
    if not worse:
        name, lowest = min(slices.items(), key=lambda item: item[1].gain)
        message = f"{len(slices)} slices of {gate.column}: the lowest gain is {lowest.gain:+.4f} ({name})."
        return GateResult("no_slice_worse", True, message, {"gains": evidence})
    ordered = sorted(worse.items(), key=lambda item: item[1].gain)[:SHOWN]
    named = ", ".join(f"{name} by {-found.gain:.4f} (n {found.n})" for name, found in ordered)
    share = f"{len(worse)} of {len(slices)} slices of {gate.column}"
    message = f"roc_auc is worse by more than {gate.by:g} in {share}: {named}."
    return GateResult("no_slice_worse", False, message, {"gains": evidence, "worse": sorted(worse)})


def latency(gate: Latency, predict_row: Callable[[int], object], rows: int) -> GateResult:
    """Whether single predictions are fast enough; `predict_row` predicts the row of that position."""
    if rows == 0:
        return GateResult("latency", False, "There is no row to measure with.")
    for position in range(WARM_UP):
        predict_row(position % rows)
    tail = min(_tail_of_round(predict_row, rows) for _ in range(ROUNDS))
    passed = timedelta(seconds=tail) <= gate.p99
    limit = gate.p99 / timedelta(milliseconds=1)
    message = f"p99 of a single prediction is {tail * 1e3:.2f} ms; the limit is {limit:g} ms."
    return GateResult("latency", passed, message, {"p99_ms": round(tail * 1e3, 4), "calls": ROUNDS * CALLS})


def model_tests(gate: ModelTests, tests: Mapping[str, Callable[[], None]]) -> GateResult:
    """Whether every behavioural test passes; a failing one is told as the sentence that its name is."""
    if not tests:
        return GateResult("model_tests", False, f"There is no test in {gate.path}.")
    failures = {name: problem for name, test in tests.items() if (problem := _problem_of(test))}
    evidence: dict[str, Json] = {"tests": sorted(tests), "failures": failures}
    if not failures:
        return GateResult("model_tests", True, f"{len(tests)} behavioural tests passed.", evidence)
    told = "; ".join(f"{sentence_of(name)} ({problem})" for name, problem in list(failures.items())[:SHOWN])
    return GateResult(
        "model_tests", False, f"{len(failures)} of {len(tests)} behavioural tests failed: {told}.", evidence
    )


def package_scan(gate: PackageScan, findings: Sequence[Finding]) -> GateResult:
    """Whether the model's files are safe to load."""
    grave = [finding for finding in findings if finding.severity == "error"]
    evidence: dict[str, Json] = {"findings": [msgspec.to_builtins(finding) for finding in findings]}
    if not grave:
        return GateResult("package_scan", True, f"Nothing unsafe ({len(findings)} warnings).", evidence)
    told = "; ".join(f"{finding.path}: {finding.problem}" for finding in grave[:SHOWN])
    return GateResult("package_scan", False, f"{len(grave)} unsafe findings: {told}.", evidence)


def checks_pass(gate: ChecksPass, reports: Mapping[str, CheckReport | None]) -> GateResult:
    """Whether the data of a challenger passes: a report for each version, none where nothing is expected."""
    failed = {name: report for name, report in reports.items() if report is not None and not report.passed}
    evidence: dict[str, Json] = {name: report is None or report.passed for name, report in reports.items()}
    if failed:
        told = "; ".join(f"{name}: {_failures(report)}" for name, report in list(failed.items())[:SHOWN])
        return GateResult("checks_pass", False, f"Its data fails what is expected. {told}.", evidence)
    if all(report is None for report in reports.values()):
        message = f"Nothing is expected of {gate.dataset}, so nothing can pass."
        return GateResult("checks_pass", False, message, evidence)
    return GateResult("checks_pass", True, f"{', '.join(reports)} passed every check.", evidence)


def _failures(report: CheckReport) -> str:
    return ", ".join(finding_of(result) for result in failures_in(report.results)[:SHOWN])


def name_of(gate: Gate) -> str:
    """What a gate is called in reports."""
    return str(type(gate).__struct_config__.tag)


def sentence_of(name: str) -> str:
    """The sentence that a test's name spells.

    >>> sentence_of("test_rain_makes_a_delay_more_likely")
    'rain makes a delay more likely'
    """
    return name.removeprefix("test_").replace("_", " ")


def _slices(
    gate: NoSliceWorse, duel: Duel, champion: NDArray[np.float64], groups: NDArray[np.object_]
) -> dict[str, Comparison]:
    found: dict[str, Comparison] = {}
    names, codes = np.unique(np.array([str(group) for group in groups.tolist()]), return_inverse=True)
    for code, name in enumerate(names.tolist()):
        here = codes == code
        if int(here.sum()) < gate.minimum:
            continue
        one = compare("roc_auc", duel.truth[here], duel.challenger[here], champion[here])
        if one is not None:
            found[name] = one
    return found


def _tail_of_round(predict_row: Callable[[int], object], rows: int) -> float:
    seconds = np.empty(CALLS)
    for position in range(CALLS):
        began = perf_counter()
        predict_row(position % rows)
        seconds[position] = perf_counter() - began
    return float(np.quantile(seconds, 0.99))


def _problem_of(test: Callable[[], None]) -> str:
    try:
        test()
    except AssertionError as error:
        return str(error).partition("\n")[0] or "its assertion is false"
    except Exception as error:  # noqa: BLE001 - a test of the user's that raises is a test that fails
        return f"{type(error).__name__}: {error}"
    return ""


def _without_champion(gate: str, duel: Duel) -> GateResult:
    return GateResult(gate, True, duel.absent or "There is no champion to compare with yet.")


def _undecided(duel: Duel) -> str:
    positives = int(duel.truth.sum())
    return f"{len(duel.truth)} labelled rows with {positives} positives cannot decide: both classes are needed."
