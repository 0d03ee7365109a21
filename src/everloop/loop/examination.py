"""The examination of a challenger: both models on the challenger's holdout, and every gate asked about it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from everloop.catalog.lineage import graph
from everloop.catalog.session import Session
from everloop.datasets.content import read_table, resolve, snapshot_of
from everloop.datasets.entities import Snapshot
from everloop.datasets.quality.gating import gating_of, verdict_of
from everloop.kernel.errors import EverloopError, InvalidInput, NotFound
from everloop.kernel.ids import Urn, parse_urn
from everloop.loop import gates
from everloop.loop.behaviour import sentences_of
from everloop.loop.entities import (
    BetterThan,
    ChecksPass,
    Gate,
    GateResult,
    Latency,
    Metric,
    ModelTests,
    NoSliceWorse,
    PackageScan,
)
from everloop.loop.gates import Duel
from everloop.loop.metrics import Outcomes, measure
from everloop.packaging.scan import scan_model
from everloop.registry.columns import columns_of
from everloop.registry.entities import Model
from everloop.registry.flavor import Predictor
from everloop.registry.save import load_model

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

CHAMPION = "champion"
METRICS: tuple[Metric, ...] = ("roc_auc", "log_loss", "brier")
DEPTH = 30
"""So many edges of lineage are followed from a challenger to the data that it came from."""
LATENCY_ROWS = 256
"""So many rows of the holdout are taken in turn to measure latency with."""


class Examination:
    """A challenger before its gates. What several gates need (rows, scores) is read and computed once.

    `champions` gives the model under an alias, or none; `folder` is the project's, where behavioural tests lie;
    `sources` are URNs of what the challenger came from, beside its training data and its holdout.
    """

    def __init__(
        self,
        session: Session,
        challenger: Model,
        champions: Callable[[str], Model | None],
        folder: Path,
        sources: Collection[str] = (),
    ) -> None:
        self._sources = {*sources, *(urn for urn in (challenger.training, challenger.holdout) if urn)}
        self._session = session
        self._challenger = challenger
        self._champions = champions
        self._folder = folder

    def results(self, wanted: tuple[Gate, ...]) -> tuple[GateResult, ...]:
        """What every gate says. All are asked, so that a report is complete.

        Datasets whose suites gate deployments are asked about too, declared here or not.
        """
        declared = {gate.dataset for gate in wanted if isinstance(gate, ChecksPass)}
        gated = (name for name in sorted(self._versions) if "deployment" in gating_of(self._session, name).gates)
        implied = [ChecksPass(dataset=name) for name in gated if name not in declared]
        return tuple(self._result(gate) for gate in (*wanted, *implied))

    @cached_property
    def measured(self) -> dict[str, float]:
        """The challenger's metrics on its holdout, if it has one: what its later performance is compared with."""
        try:
            outcomes = Outcomes(np.zeros(len(self._truth), np.int64), self._ours, self._truth)
        except Exception:  # noqa: BLE001 - a broken model may raise anything; without gates it goes on unmeasured
            return {}
        found = {str(metric): measure(metric, outcomes) for metric in METRICS}
        return {metric: value for metric, value in found.items() if np.isfinite(value)}

    def _result(self, gate: Gate) -> GateResult:
        try:
            return self._ask(gate)
        except EverloopError as error:
            return GateResult(gates.name_of(gate), False, f"It cannot be judged: {error.message}")
        except Exception as error:  # noqa: BLE001 - a broken model may raise anything, and is refused for it
            return GateResult(gates.name_of(gate), False, f"The model broke: {type(error).__name__}: {error}")

    def _ask(self, gate: Gate) -> GateResult:
        match gate:
            case BetterThan():
                return gates.better_than(gate, self._duel(gate.alias))
            case NoSliceWorse():
                return gates.no_slice_worse(gate, self._duel(CHAMPION), self._groups(gate.column))
            case Latency():
                return self._latency(gate)
            case ModelTests():
                return gates.model_tests(gate, sentences_of(self._folder, gate.path, self._predictor, self._inputs))
            case PackageScan():
                return gates.package_scan(gate, scan_model(self._session, self._challenger))
            case ChecksPass():
                versions = self._versions.get(gate.dataset) or [snapshot_of(self._session, gate.dataset)]
                verdicts = {f"{one.dataset}@{one.version}": verdict_of(self._session, one) for one in versions}
                return gates.checks_pass(gate, verdicts)

    def _duel(self, alias: str) -> Duel:
        champion = self._champions(alias)
        return Duel(self._truth, self._ours, None if champion is None else self._scores(champion))

    def _groups(self, column: str) -> NDArray[np.object_]:
        if column not in self._rows.column_names:
            raise InvalidInput(f"The holdout has no column {column!r}.")
        return np.asarray(self._rows[column].to_pylist(), dtype=object)

    def _latency(self, gate: Latency) -> GateResult:
        predictor, columns = self._predictor, self._inputs
        count = min(LATENCY_ROWS, self._rows.num_rows)
        single = [{name: values[row : row + 1] for name, values in columns.items()} for row in range(count)]
        return gates.latency(gate, lambda row: predictor.predict(single[row]), count)

    @cached_property
    def _versions(self) -> dict[str, list[Snapshot]]:
        """The versions of datasets that the challenger came from, by dataset."""
        with self._session.begin(write=False) as unit:
            nodes = {node for urn in self._sources for node in graph(unit, urn, "upstream", DEPTH).nodes}
            mine = [urn for node in sorted(nodes) if (urn := parse_urn(node)).kind == "dataset"]
            found = [_known(unit, urn) for urn in mine if urn.project == unit.project and urn.version.isdecimal()]
        by_name: dict[str, list[Snapshot]] = {}
        for snapshot in found:
            if snapshot is not None:
                by_name.setdefault(snapshot.dataset, []).append(snapshot)
        return by_name

    @cached_property
    def _rows(self) -> pa.Table:
        """The holdout's rows that have a label."""
        import pyarrow.compute as pc

        model = self._challenger
        if not model.holdout or not model.label:
            raise InvalidInput("The model names no holdout with labels.")
        table = read_table(self._session, resolve(self._session, model.holdout))
        if model.label not in table.column_names:
            raise InvalidInput(f"The holdout has no column {model.label!r}.")
        label = table[model.label].cast("float64")
        return table.filter(pc.and_(pc.is_valid(label), pc.is_finite(label)))

    @cached_property
    def _truth(self) -> NDArray[np.float64]:
        truth: NDArray[np.float64] = self._rows[self._challenger.label].cast("float64").to_numpy()
        return truth

    @cached_property
    def _predictor(self) -> Predictor:
        return load_model(self._session, self._challenger)

    @cached_property
    def _inputs(self) -> dict[str, NDArray[np.generic]]:
        return columns_of(self._rows, [field.name for field in self._predictor.inputs])

    @cached_property
    def _ours(self) -> NDArray[np.float64]:
        scores = self._scores(self._challenger)
        missing = int((~np.isfinite(scores)).sum())
        if missing:
            # Ranked, what is no number would stand above every number.
            raise InvalidInput(f"The model gives no finite number for {missing} of {len(scores)} rows of its holdout.")
        return scores

    def _scores(self, model: Model) -> NDArray[np.float64]:
        predictor = load_model(self._session, model)
        columns = columns_of(self._rows, [field.name for field in predictor.inputs])
        scores: NDArray[np.float64] = np.asarray(predictor.predict(columns), dtype=np.float64)
        if scores.ndim != 1:
            raise InvalidInput(f"The model gives {scores.shape[1]} scores a row; gates compare models with one.")
        return scores


def _known(unit: Session, urn: Urn) -> Snapshot | None:
    """The version that a URN names, unless it is gone."""
    try:
        return snapshot_of(unit, urn.name, int(urn.version))
    except NotFound:
        return None
