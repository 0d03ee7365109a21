"""Graphs: they give what the same composition gives in NumPy, whatever stands in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from everloop.kernel.errors import InvalidInput, Refused
from everloop.registry.entities import Field
from everloop.serving.graph import GraphPredictor
from everloop.serving.nodes import Attempt, Branch, Case, Ensemble, Member, Node, Sequence, Splitter, Step, Switch
from everloop.serving.traffic import WHOLE, position, salt_of
from everloop.serving.wiring import inputs_of

Columns = Mapping[str, np.ndarray]
X = np.array([0.1, 0.4, 0.6, 0.9])


class Line:
    """A model: `slope * (sum of its inputs) + offset`; over `limit` it gives nothing, or raises."""

    def __init__(self, names: tuple[str, ...], slope: float, offset: float, limit: float = np.inf) -> None:
        self.inputs = tuple(Field(name, "float64") for name in names)
        self.slope, self.offset, self.limit = slope, offset, limit

    def predict(self, columns: Columns) -> np.ndarray:
        if set(columns) != {field.name for field in self.inputs}:
            raise RuntimeError(f"unexpected columns {list(columns)}")
        total = sum(columns[field.name] for field in self.inputs)
        return np.where(total > self.limit, np.nan, self.slope * np.asarray(total) + self.offset)

    def contributions(self, columns: Columns) -> np.ndarray:
        return np.zeros((1, 1))


class Broken(Line):
    def predict(self, columns: Columns) -> np.ndarray:
        raise RuntimeError("broken")


MODELS = {
    "up": Line(("x",), 1.0, 0.0),
    "down": Line(("x",), -1.0, 1.0),
    "both": Line(("x", "y"), 0.5, 0.0),
    "low": Line(("x",), 2.0, 0.0, limit=0.5),
    "stacked": Line(("first", "second"), 0.5, 0.0),
    "broken": Broken(("x",), 1.0, 0.0),
}
UP, DOWN, BOTH, LOW, STACKED, BROKEN = (Member(name, pinned=1) for name in MODELS)


def graph(node: Node) -> GraphPredictor:
    inputs = inputs_of(node, lambda member: MODELS[member.model].inputs)
    return GraphPredictor(node, inputs, lambda member: MODELS[member.model])


def answers(node: Node, **columns: np.ndarray) -> list[float]:
    return graph(node).predict({"x": X, **columns}).tolist()


def test_a_mean_is_the_mean_of_the_members() -> None:
    assert answers(Ensemble((UP, DOWN))) == pytest.approx([0.5] * 4)


def test_a_weighted_mean_weighs() -> None:
    assert answers(Ensemble((UP, DOWN), weights=(3, 1))) == pytest.approx((0.75 * X + 0.25 * (1 - X)).tolist())


def test_a_vote_is_the_part_of_the_members_over_the_threshold() -> None:
    assert answers(Ensemble((UP, DOWN, UP), "vote")) == pytest.approx([1 / 3, 1 / 3, 2 / 3, 2 / 3])


def test_a_stack_feeds_the_scores_of_steps_to_the_last_model() -> None:
    stack = Sequence((Step("first", UP), Step("second", DOWN)), STACKED)
    assert answers(stack) == pytest.approx([0.5] * 4)
    assert [field.name for field in graph(stack).inputs] == ["x"]


def test_a_later_step_sees_what_an_earlier_one_made() -> None:
    chain = Sequence((Step("y", UP), Step("first", BOTH), Step("second", UP)), STACKED)
    assert answers(chain) == pytest.approx((0.5 * (X + X)).tolist())


def test_a_switch_sends_each_row_to_the_first_case_that_it_meets() -> None:
    switch = Switch((Case("x > 0.8", UP), Case("x > 0.5", DOWN)), LOW)
    assert answers(switch) == pytest.approx([0.2, 0.8, 0.4, 0.9])


def test_a_splitter_sends_equal_keys_to_the_same_branch_in_proportion() -> None:
    splitter = Splitter("unit", (Branch(1, UP), Branch(3, DOWN)))
    units = np.array([f"u{n}" for n in range(4_000)], dtype=object)
    scores = graph(splitter).predict({"x": np.full(4_000, 0.9), "unit": units})
    assert abs((scores == 0.9).mean() - 0.25) < 0.03
    again = graph(splitter).predict({"x": np.full(4_000, 0.9), "unit": units})
    assert np.array_equal(scores, again)


def test_what_a_node_fails_on_goes_to_the_next() -> None:
    assert answers(Attempt((BROKEN, LOW, UP))) == pytest.approx([0.2, 0.8, 0.6, 0.9])


def test_what_all_fail_on_has_no_answer() -> None:
    assert np.isnan(answers(Attempt((BROKEN, LOW)))[2:]).all()


def test_a_trace_tells_what_each_member_gave_for_the_rows_that_it_saw() -> None:
    trace = graph(Switch((Case("x > 0.5", Ensemble((UP, DOWN))),), LOW)).trace({"x": np.array([0.25, 0.75])})
    assert trace == [{"1.low@1": 0.5}, {"0.0.up@1": 0.75, "0.1.down@1": 0.25}]


def test_a_graph_does_not_explain_itself() -> None:
    with pytest.raises(Refused, match="explained"):
        graph(UP).contributions({"x": X})


@pytest.mark.parametrize(
    ("node", "why"),
    [
        (Sequence((Step("unused", UP),), DOWN), "takes unused"),
        (Sequence((Step("x", UP),), DOWN), "there before it"),
        (Sequence((Step("first", UP), Step("first", DOWN)), STACKED), "there before it"),
        (Switch((Case("nothing > 1", UP),), DOWN), "no column"),
        (Switch((Case("x + 1", UP),), DOWN), "is a number"),
        (Splitter("", (Branch(1, UP),)), "no key"),
        (Ensemble((UP, Switch((Case("x > 'a'", UP),), UP))), "makes no sense"),
    ],
)
def test_nodes_that_do_not_fit_together_are_refused(node: Node, why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        graph(node)


def test_members_that_take_different_things_under_one_name_are_refused() -> None:
    fields = {"up": (Field("x", "string"),), "down": (Field("x", "float64"),)}
    with pytest.raises(InvalidInput, match="string to one member"):
        inputs_of(Ensemble((UP, DOWN)), lambda member: fields[member.model])


Reference = Callable[[np.ndarray, np.ndarray], np.ndarray]


def leaf(name: str) -> tuple[Node, Reference]:
    model = MODELS[name]
    return Member(name, pinned=1), lambda x, key: model.predict({"x": x})


def ensemble(parts: list[tuple[Node, Reference]]) -> tuple[Node, Reference]:
    return Ensemble(tuple(n for n, _ in parts)), lambda x, key: np.mean([f(x, key) for _, f in parts], axis=0)


def switch(parts: list[tuple[Node, Reference]]) -> tuple[Node, Reference]:
    (one, f), (other, g) = parts[0], parts[-1]
    return Switch((Case("x > 0.5", one),), other), lambda x, key: np.where(x > 0.5, f(x, key), g(x, key))


def attempt(parts: list[tuple[Node, Reference]]) -> tuple[Node, Reference]:
    def reference(x: np.ndarray, key: np.ndarray) -> np.ndarray:
        found = np.full(len(x), np.nan)
        for _, function in parts:
            found = np.where(np.isfinite(found), found, function(x, key))
        return found

    return Attempt(tuple(node for node, _ in parts)), reference


def splitter(parts: list[tuple[Node, Reference]]) -> tuple[Node, Reference]:
    salt = salt_of("graph graph")

    def reference(x: np.ndarray, key: np.ndarray) -> np.ndarray:
        branch = [position(salt, str(one)) * len(parts) // WHOLE for one in key]
        given = [function(x, key) for _, function in parts]
        return np.array([given[b][row] for row, b in enumerate(branch)])

    return Splitter("key", tuple(Branch(1, node) for node, _ in parts)), reference


def grown(inner: st.SearchStrategy[tuple[Node, Reference]]) -> st.SearchStrategy[tuple[Node, Reference]]:
    parts = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(*(parts.map(make) for make in (ensemble, switch, attempt, splitter)))


@given(
    st.recursive(st.sampled_from(["up", "down", "low"]).map(leaf), grown, max_leaves=8),
    st.lists(st.floats(0, 1), min_size=1, max_size=12),
)
def test_any_graph_gives_what_its_composition_gives_in_numpy(made: tuple[Node, Reference], values: list[float]) -> None:
    node, reference = made
    x, key = np.array(values), np.array([f"k{n % 5}" for n in range(len(values))], dtype=object)
    found = graph(Ensemble((node, Member("up", pinned=1)))).predict({"x": x, "key": key})
    assert np.allclose(found, (reference(x, key) + x) / 2, equal_nan=True)
