"""How the account is made: out of the inference log, the labels, the candidates and the ledger, and of nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa

from everloop.cli.demo.account import Account, Compiled, Month, Packed, Policy, Promotion, Stopped
from everloop.cli.demo.databook import DataBook
from everloop.loop.entities import BY_HAND, FIRST, Candidate, Reproduction, SimulationReport
from everloop.loop.tracing import rendered as rendered_trace
from everloop.monitoring.performance import performance_of
from everloop.packaging.entities import Package
from everloop.pipelines.entities import Execution
from everloop.registry.compilation.entities import Compilation
from everloop.registry.entities import Alias
from everloop.serving.inferencelog import FEATURE, LogReader
from everloop.serving.labellog import LabelReader

if TYPE_CHECKING:
    from everloop.app.platform import Platform

TIMEZONE = "America/New_York"
_SAMPLE_DAYS = 12
"""How many days' predictions are compared with the offline join."""


class World(Protocol):
    """What the books need to know of the world outside."""

    month_of: dict[str, int]


class Books:
    """Reads everything that the year left behind."""

    def __init__(self, platform: Platform, world: World, loop: str, folder: Path) -> None:
        self._platform = platform
        self._world = world
        self._loop = loop
        home, project = platform.resources.home, platform.settings.values.project
        batches, _ = LogReader(home, project, loop).since()
        self._log = pa.Table.from_batches([batch.select(_COLUMNS) for batch in batches])
        self._log = self._log.filter(pa.compute.not_equal(self._log["role"], "shadow"))
        labels, _ = LabelReader(home, project, loop).since()
        self._labels = {key: value for batch in labels[::-1] for key, value in _pairs(batch)}

    def account(self, start: datetime, end: datetime, data: DataBook) -> Account:
        """Everything that the demo has to say. The champion is reproduced in its own process beside the rest."""
        candidates: list[Candidate] = self._call("loops.candidates", name=self._loop)[::-1]
        with ThreadPoolExecutor(1) as beside:
            reproducing = beside.submit(self._call, "loops.reproduce", model=self._loop, alias="champion")
            compared, differing = self._skew()
            hits, executed = self._memo(candidates)
            monthly = [*self._never(start, end), *self._served()]
            reproduction: Reproduction = reproducing.result()
        compiled, packed = self._compiled(), self._packed()
        audit = self._call("audit.verify")
        return Account(
            predictions=self._log.num_rows,
            labels=len(self._labels),
            retrains=sum(one.trigger not in (FIRST, BY_HAND) for one in candidates),
            promoted=[_promotion(one) for one in candidates if one.status == "promoted" and one.ended],
            stopped_candidates=[_stopped(one) for one in candidates if one.status in ("refused", "rolled_back")],
            rollbacks=sum(one.status == "rolled_back" for one in candidates),
            alarms=len(self._call("monitors.alerts", endpoint=self._loop)),
            monthly=monthly,
            data=data.account(),
            skew_compared=compared,
            skew_differing=differing,
            memo_hits=hits,
            memo_executed=executed,
            compiled=compiled,
            packed=packed,
            trace=rendered_trace(self._call("loops.trace", what=self._some_prediction())),
            reproduced=reproduction.equal,
            reproduction=_compared(reproduction),
            audit_verified=audit.intact,
            audit_entries=audit.entries,
            seconds=0.0,
            peak_memory_mb=0.0,
            home="",
        )

    def _call(self, usecase: str, **arguments: object) -> Any:
        return self._platform.call(usecase, arguments)

    def _served(self) -> Iterator[Month]:
        """What the loop's predictions were worth, by the month of the flight."""
        keys = self._log["key"].to_pylist()
        truth = np.array([self._labels.get(key, np.nan) for key in keys])
        months = np.array([self._world.month_of[key] for key in keys])
        scores = self._log["output"].to_numpy()
        for month in np.unique(months).tolist():
            judged = (months == month) & ~np.isnan(truth)
            yield _month(month, "loop", truth[judged], scores[judged])

    def _never(self, start: datetime, end: datetime) -> Iterator[Month]:
        """What the first model would have been worth all year, by the simulation that runs the loop's own code."""
        report: SimulationReport = self._call(
            "loops.simulate", name=self._loop, start=start, end=end, policies=("never",), timezone=TIMEZONE
        )
        for month in report.months:
            number = int(month.month.partition("-")[2])
            yield Month(number, "never", month.n, month.roc_auc, month.log_loss, month.calibration_error)

    def _compiled(self) -> Compiled:
        """What runs the champion, and what was proven of it."""
        found: Compilation = self._call("models.compilation", name=self._loop, version=self._champion())
        proof = found.evidence
        return Compiled(found.engine, proof.rows, proof.rows - proof.equal, proof.native_us[0], proof.compiled_us[0])

    def _packed(self) -> Packed:
        """The champion as an archive, which then predicts in a process of its own."""
        made: Package = self._call("packages.build", model=self._loop, version=self._champion())
        verified = self._call("packages.verify", model=self._loop, version=self._champion())
        return Packed(made.form, made.digest, made.size, verified.passed)

    def _champion(self) -> int:
        aliases: list[Alias] = self._call("models.aliases", name=self._loop)
        return next(each.version for each in aliases if each.alias == "champion")

    def _memo(self, candidates: list[Candidate]) -> tuple[int, int]:
        """Run the pipeline of the newest promotion again: how many steps came from the memo, how many were executed."""
        made = next(one for one in reversed(candidates) if one.status == "promoted")
        again: Execution = self._call("pipelines.run", name=made.pipeline, arguments=made.arguments)
        hits = sum(step.hit for step in again.steps)
        return hits, len(again.steps) - hits

    def _skew(self) -> tuple[int, int]:
        """Some days' logged feature values against the offline join: how many were compared, how many differ."""
        from everloop.datasets import content
        from everloop.features import pointintime
        from everloop.features import service as features

        session = self._platform.session()
        schedule = content.read_table(session, content.snapshot_of(session, "schedule"))
        with session.begin(write=False) as unit:
            pinned = features.pin(unit, self._loop)
        home, project = self._platform.resources.home, self._platform.settings.values.project
        batches, _ = LogReader(home, project, self._loop).since()
        logged = pa.Table.from_batches(batches[:: max(1, len(batches) // (_SAMPLE_DAYS * 19))])
        asked = schedule.filter(pa.compute.is_in(schedule["flight_id"], logged["key"].combine_chunks()))
        joined = pointintime.join(session, asked, "predicted_at", pinned)
        place = {key: row for row, key in enumerate(joined["flight_id"].to_pylist())}
        rows = np.array([place[key] for key in logged["key"].to_pylist()])
        compared = differing = 0
        for name in pinned.columns:
            if pa.types.is_floating(joined.schema.field(name).type):
                offline, online = joined[name].to_numpy()[rows], logged[FEATURE + name].to_numpy()
                compared += len(rows)
                differing += int(np.sum(~((offline == online) | (np.isnan(offline) & np.isnan(online)))))
        return compared, differing

    def _some_prediction(self) -> str:
        """One of the last labelled predictions."""
        keys = self._log["key"].to_pylist()
        last = next(row for row in range(len(keys) - 1, -1, -1) if keys[row] in self._labels)
        return str(self._log["prediction_id"][last].as_py())


_COLUMNS = ["prediction_id", "key", "role", "output"]


def _month(month: int, policy: Policy, truth: np.ndarray, scores: np.ndarray) -> Month:
    found = performance_of(truth, scores)
    return Month(month, policy, len(truth), found.roc_auc or float("nan"), found.log_loss, found.calibration_error)


def _promotion(candidate: Candidate) -> Promotion:
    assert candidate.ended is not None
    return Promotion(candidate.version, candidate.ended, candidate.trigger, candidate.reason, candidate.units)


def _stopped(candidate: Candidate) -> Stopped:
    refusal = next((gate for gate in candidate.gates if not gate.passed), None)
    return Stopped(
        version=candidate.version,
        at=candidate.ended or candidate.created,
        trigger=candidate.trigger,
        planted=candidate.trigger == BY_HAND,
        stopped_by=f"the gate {refusal.gate}" if refusal else "a guard of its canary",
        reason=refusal.message if refusal else candidate.outcome,
        units=candidate.units,
    )


def _compared(reproduction: Reproduction) -> list[str]:
    lines = [
        f"{'=' if step.equal else '≠'} {step.name}: {step.before[:16]} {step.after[:16]}" for step in reproduction.steps
    ]
    same = reproduction.model_before == reproduction.model_after
    return [
        *lines,
        f"{'=' if same else '≠'} the model: {reproduction.model_before[:16]} {reproduction.model_after[:16]}",
    ]


def _pairs(batch: pa.RecordBatch) -> Iterator[tuple[str, float]]:
    return zip(batch["key"].to_pylist(), batch["value"].to_pylist(), strict=True)
