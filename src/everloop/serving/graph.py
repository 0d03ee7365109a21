"""Inference graphs, run: several models that answer as one, behind the same interface as any model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from everloop.kernel.errors import Refused
from everloop.registry.entities import Field
from everloop.registry.flavor import Predictor
from everloop.serving import nodes
from everloop.serving.expression import Expression
from everloop.serving.nodes import Member, Node
from everloop.serving.traffic import WHOLE, position, salt_of

Columns = Mapping[str, np.ndarray]
Trace = list[dict[str, float]]
Load = Callable[[Member], Predictor]


class GraphPredictor:
    """A graph of loaded models. Its members are asked one after another, each once for the rows that it gets."""

    def __init__(self, graph: Node, inputs: tuple[Field, ...], load: Load) -> None:
        self.inputs = inputs
        self._root = _Builder(load).build(graph, {field.name: field for field in inputs}, "")

    def predict(self, columns: Columns) -> np.ndarray:
        """A score for each row."""
        count = len(next(iter(columns.values())))
        return self._root(_Rows(columns, np.arange(count), None))

    def contributions(self, columns: Columns) -> np.ndarray:
        """Nothing: what an input moved in each member cannot be added up.

        Raises:
            Refused: always.
        """
        raise Refused("A graph cannot be explained as a whole.", hint="Ask for its parts with the parameter trace.")

    def trace(self, columns: Columns) -> Trace:
        """For each row what each member gave that saw it, by its place in the graph."""
        count = len(next(iter(columns.values())))
        trace: Trace = [{} for _ in range(count)]
        self._root(_Rows(columns, np.arange(count), trace))
        return trace


@dataclass(frozen=True, eq=False, slots=True)
class _Rows:
    """Some of the rows: their columns, their numbers, and where what is given for them is noted."""

    columns: Columns
    numbers: np.ndarray
    trace: Trace | None

    def where(self, chosen: np.ndarray) -> _Rows:
        """The chosen ones."""
        columns = {name: values[chosen] for name, values in self.columns.items()}
        return _Rows(columns, self.numbers[chosen], self.trace)

    def and_also(self, name: str, values: np.ndarray) -> _Rows:
        """The same with one more column."""
        return _Rows({**self.columns, name: values}, self.numbers, self.trace)


_Run = Callable[[_Rows], np.ndarray]


class _Builder:
    """Makes functions of nodes; `known` are the columns that a node may look at."""

    def __init__(self, load: Load) -> None:
        self._load = load

    def build(self, node: Node, known: Mapping[str, Field], path: str) -> _Run:
        """The function of a node that stands at a place in the graph."""
        if isinstance(node, nodes.Sequence):
            return self._sequence(node, known, path)
        inner = [self.build(one, known, f"{path}{at}.") for at, one in enumerate(nodes.children(node))]
        match node:
            case Member():
                return _member(self._load(node), f"{path}{node.model or 'self'}@{node.pinned}")
            case nodes.Ensemble():
                return _ensemble(node, inner)
            case nodes.Switch():
                conditions = [Expression(case.when, known) for case in node.cases]
                return _divided(inner, lambda rows: _first_true(conditions, rows))
            case nodes.Splitter():
                return _divided(inner, _sticky(node))
            case nodes.Attempt():
                return _attempt(inner)

    def _sequence(self, node: nodes.Sequence, known: Mapping[str, Field], path: str) -> _Run:
        steps: list[tuple[str, _Run]] = []
        for step in node.steps:
            steps.append((step.name, self.build(step.node, known, f"{path}{step.name}.")))
            known = {**known, step.name: Field(step.name, "float64")}
        then = self.build(node.then, known, f"{path}then.")

        def run(rows: _Rows) -> np.ndarray:
            for name, function in steps:
                rows = rows.and_also(name, function(rows))
            return then(rows)

        return run


def _member(predictor: Predictor, label: str) -> _Run:
    names = [field.name for field in predictor.inputs]

    def run(rows: _Rows) -> np.ndarray:
        columns = {name: rows.columns[name] for name in names}
        scores = np.asarray(predictor.predict(columns), dtype=np.float64).reshape(len(rows.numbers))
        if rows.trace is not None:
            for number, score in zip(rows.numbers.tolist(), scores.tolist(), strict=True):
                rows.trace[number][label] = score
        return scores

    return run


def _ensemble(node: nodes.Ensemble, members: list[_Run]) -> _Run:
    weights = np.array(node.weights or [1.0] * len(members))
    weights = weights / weights.sum()

    def run(rows: _Rows) -> np.ndarray:
        scores = np.stack([member(rows) for member in members])
        if node.combine == "vote":
            # A member that fails has no vote, and fails the whole as it does a mean.
            scores = np.where(np.isfinite(scores), scores > node.threshold, np.nan)
        return np.asarray(weights @ scores)

    return run


def _divided(branches: list[_Run], assign: Callable[[_Rows], np.ndarray]) -> _Run:
    """Each row goes to the branch of its number."""

    def run(rows: _Rows) -> np.ndarray:
        assigned = assign(rows)
        scores = np.empty(len(rows.numbers))
        for number in np.unique(assigned).tolist():
            mine = np.flatnonzero(assigned == number)
            scores[mine] = branches[number](rows if len(mine) == len(scores) else rows.where(mine))
        return scores

    return run


def _first_true(conditions: list[Expression], rows: _Rows) -> np.ndarray:
    assigned = np.full(len(rows.numbers), len(conditions))
    for number in reversed(range(len(conditions))):
        assigned[conditions[number](rows.columns, len(assigned))] = number
    return assigned


def _sticky(node: nodes.Splitter) -> Callable[[_Rows], np.ndarray]:
    edges = np.cumsum([branch.weight for branch in node.branches])
    edges = edges / edges[-1] * WHOLE
    salt = salt_of(f"graph {node.salt}")

    def assign(rows: _Rows) -> np.ndarray:
        keys = rows.columns[node.key].tolist()
        places = [position(salt, "" if key is None else str(key)) for key in keys]
        return np.searchsorted(edges, places, side="right")

    return assign


def _attempt(attempts: list[_Run]) -> _Run:
    def run(rows: _Rows) -> np.ndarray:
        scores = np.full(len(rows.numbers), np.nan)
        left = np.arange(len(scores))
        for attempt in attempts:
            scores[left] = _tried(attempt, rows if len(left) == len(scores) else rows.where(left))
            left = np.flatnonzero(~np.isfinite(scores))
            if not len(left):
                break
        return scores

    return run


def _tried(attempt: _Run, rows: _Rows) -> np.ndarray:
    try:
        return attempt(rows)
    except Exception:  # noqa: BLE001  # A model is foreign code; that the next one answers is what the node is for.
        return np.full(len(rows.numbers), np.nan)
