"""Every family of trees scores as its own library does, on thresholds and beside them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everloop.registry.trees.boundary import boundary_rows, taken
from everloop.registry.trees.kernel import Kernel, Unscorable, available
from everloop.registry.trees.onnx import Graph, to_onnx
from everloop.registry.trees.table import TreeTable, load_table
from tests.examples import examples
from tests.registry.trees.families import CATEGORICAL, FAMILIES, FEATURES, Family

pytestmark = pytest.mark.skipif(not available(), reason="There was no C compiler.")
ROWS = 60
CALM = ("histograms", "lightgbm", "xgboost", "decision tree")
"""These are tried in the inner loop; the others take longer to import and to train."""


def rows_of(seed: int, family: Family) -> np.ndarray:
    """Rows that repeat values, have gaps and small categories, and values that float32 cannot tell apart."""
    random = np.random.default_rng(seed)
    scale = random.choice([1e-30, 1.0, 1e5, 1.7e9], FEATURES)
    rows = np.round(random.normal(size=(ROWS, FEATURES)), int(random.integers(0, 9))) * scale
    rows[:, CATEGORICAL] = random.integers(0, 5, ROWS)
    if family.missing:
        rows[random.random(rows.shape) < 0.1] = np.nan
    return rows


def labels(rows: np.ndarray, classes: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    if classes == 1:
        return np.asarray(np.nan_to_num(rows[:, CATEGORICAL]) + random.normal(size=ROWS))
    return np.asarray((np.nan_to_num(rows[:, CATEGORICAL]) + random.integers(0, 2, ROWS)) % classes).astype(int)


def trained(name: str, seed: int, classes: int) -> tuple[TreeTable, np.ndarray, np.ndarray]:
    """A model's table, boundary rows for it, and its own library's scores of them."""
    family = FAMILIES[name]
    rows = rows_of(seed, family)
    label = labels(rows, classes, seed)
    label[:classes] = np.arange(classes) if classes > 1 else label[:classes]
    table, native = family.train(rows, label, classes)
    assert table is not None
    table.check()
    wanted = boundary_rows(table, rows, 2_000)
    if "histograms with" in name:  # Its encoder refuses infinite categories; a missing one goes the same way.
        wanted[:, CATEGORICAL] = np.where(np.isinf(wanted[:, CATEGORICAL]), np.nan, wanted[:, CATEGORICAL])
    return table, wanted, native(wanted)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in CALM else pytest.mark.slow) for name in FAMILIES]
)
@settings(max_examples=examples(10))
@given(st.integers(0, 2**32), st.sampled_from([1, 2, 3]))
def test_a_table_scores_as_its_library_does(name: str, seed: int, classes: int) -> None:
    table, rows, expected = trained(name, seed, classes)
    found = Kernel(table)(rows)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 1e-9 * max(1.0, np.abs(expected).max())
    one = Kernel(table)
    assert all(np.array_equal(one(rows[at : at + 1])[0], found[at]) for at in range(0, len(rows), 97))


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in FAMILIES if "gbm" not in name and "xgb" not in name])
def test_a_table_as_onnx_scores_alike(name: str) -> None:
    for classes in (1, 2, 3):
        table, rows, expected = trained(name, 7, classes)
        graph = to_onnx(table)
        assert graph is not None
        assert np.allclose(Graph(graph)(taken(table, rows)), expected, rtol=1e-12, atol=1e-12)


def test_sums_in_float32_have_no_graph() -> None:
    assert to_onnx(trained("xgboost", 3, 2)[0]) is None


def test_boundary_rows_show_an_export_in_float32(tmp_path: object) -> None:
    table, rows, _ = trained("lightgbm", 11, 2)
    kernel = Kernel(table)
    narrowed = rows.astype(np.float32).astype(np.float64)
    assert (np.abs(kernel(rows) - kernel(narrowed)) > 1e-9).sum() > len(rows) // 100


def test_a_saved_table_is_the_same_and_its_file_deterministic(tmp_path: object) -> None:
    from pathlib import Path

    folder = Path(str(tmp_path))
    table, rows, expected = trained("histograms", 5, 3)
    table.save(folder / "a.bin")
    load_table(folder / "a.bin").save(folder / "b.bin")
    assert (folder / "a.bin").read_bytes() == (folder / "b.bin").read_bytes()
    assert np.allclose(Kernel(load_table(folder / "b.bin"))(rows), expected, atol=1e-12)


def test_a_model_that_takes_no_infinity_refuses_it_by_place() -> None:
    table, rows, _ = trained("decision tree", 5, 2)
    bad = rows[:3].copy()
    bad[1, 2] = np.inf
    with pytest.raises(Unscorable) as caught:
        Kernel(table)(bad)
    assert (caught.value.row, caught.value.column) == (1, 2)


def test_no_rows_give_no_scores() -> None:
    table, rows, _ = trained("lightgbm", 5, 3)
    assert Kernel(table)(rows[:0]).shape == (0, 3)


def test_rows_that_lie_apart_in_memory_are_scored_alike() -> None:
    table, rows, expected = trained("lightgbm", 5, 2)
    apart = np.asfortranarray(rows)
    assert np.array_equal(Kernel(table)(apart), expected)
    apart.flags.writeable = False
    assert np.array_equal(Kernel(table)(apart[:1]), expected[:1])
