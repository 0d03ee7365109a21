"""Many rows are scored by bit vectors, and to the last bit as each of them is scored by walking."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from everloop.registry.trees.bits import bits_of
from everloop.registry.trees.growth import CategoricalSplit, Tree, grown
from everloop.registry.trees.kernel import Kernel, available
from everloop.registry.trees.table import Arithmetic, TreeTable
from tests.examples import examples

FEATURES, CATEGORY = 6, 5
ODD = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e300]
CODES = [-1, -0.5, 0, 1, 2, 2.5, 3, 4, 5, 6, 7, 9, 1e18, -1e18, np.nan, np.inf, -np.inf]
kernel_needed = pytest.mark.skipif(not available(), reason="There was no C compiler.")
arithmetics = st.builds(
    Arithmetic,
    link=st.sampled_from(["identity", "sigmoid", "softmax", "softmax32"]),
    divisor=st.sampled_from([1.0, 3.0]),
    float32_inputs=st.booleans(),
    float32_sums=st.booleans(),
    rule=st.sampled_from(["exact", "truncated", "natural"]),
)
seeds = st.integers(0, 2**32)


def tree(random: np.random.Generator, leaves: int, features: int = CATEGORY) -> Tree:
    """A tree of random shape, on few thresholds, so that several nodes ask the same."""
    total = 2 * leaves - 1
    feature, left, right = np.full(total, -1), np.zeros(total, int), np.zeros(total, int)
    ends = [0]
    for child in range(1, total, 2):
        node = ends.pop(random.integers(len(ends)))
        feature[node], left[node], right[node] = random.integers(features), child, child + 1
        ends += [child, child + 1]
    threshold = np.round(random.normal(size=total), 1) * random.choice([0.0, 1.0, 1e30])
    categories = {int(node): split(random) for node in np.flatnonzero(feature == CATEGORY)}
    missing_left = random.random(total) < 0.5
    return Tree(feature, threshold, left, right, missing_left, random.normal(size=total), categories=categories)


def split(random: np.random.Generator) -> CategoricalSplit:
    codes = random.permutation(7).tolist()
    return CategoricalSplit(codes[:2], codes[2:5], bool(random.integers(2)))


def ensemble(seed: int, arithmetic: Arithmetic, width: int, leaves: int, features: int = CATEGORY) -> TreeTable:
    """Trees of up to so many leaves; with several outputs, each adds to one of them or to all."""
    random = np.random.default_rng(seed)
    sizes = [leaves, *random.integers(1, leaves + 1, size=random.integers(20)).tolist()]
    trees = [tree(random, size, features) for size in sizes]
    shape = (width,) if width > 1 and random.integers(2) else ()
    trees = [
        replace(one, output=int(random.integers(width)), value=random.normal(size=(len(one.feature), *shape)))
        for one in trees
    ]
    base = random.normal(size=width).tolist()
    table = grown(trees, FEATURES, base, arithmetic, strict=bool(random.integers(2)))
    assert table is not None
    table.check()
    return table


def rows_for(table: TreeTable, count: int, seed: int) -> np.ndarray:
    """Rows on thresholds and beside them, missing and infinite ones, and categories known and unknown."""
    random = np.random.default_rng(seed)
    known = table.threshold[table.inner & ~table.categorical]
    beside = [np.nextafter(known, way) for way in (np.inf, -np.inf)]
    rows = random.choice(np.concatenate([known, *beside, ODD]), (count, FEATURES))
    rows[:, CATEGORY] = random.choice(CODES, count)
    return rows


def one_by_one(kernel: Kernel, rows: np.ndarray) -> np.ndarray:
    return np.concatenate([kernel(row[None]) for row in rows])


@kernel_needed
@settings(max_examples=examples(200))
@given(seeds, arithmetics, st.sampled_from([1, 3]), st.integers(1, 64), st.integers(1, 40))
def test_rows_together_score_as_each_alone(
    seed: int, arithmetic: Arithmetic, width: int, leaves: int, count: int
) -> None:
    table = ensemble(seed, arithmetic, width, leaves)
    kernel, rows = Kernel(table), rows_for(table, count, seed)
    assert bits_of(table) is not None
    assert kernel(rows).tobytes() == one_by_one(kernel, rows).tobytes()


@kernel_needed
@settings(max_examples=examples(200))
@given(seeds, arithmetics, st.integers(2, 64), st.integers(1, 40))
def test_categories_send_rows_where_walks_do(seed: int, arithmetic: Arithmetic, leaves: int, count: int) -> None:
    table = ensemble(seed, arithmetic, 1, leaves, FEATURES)
    assume(bits_of(table) is not None)
    kernel, rows = Kernel(table), rows_for(table, count, seed)
    assert kernel(rows).tobytes() == one_by_one(kernel, rows).tobytes()


@kernel_needed
@pytest.mark.parametrize("leaves", [31, 63])
@pytest.mark.parametrize("count", [*range(1, 41), 63, 64, 65, 129, 1_000])
def test_every_number_of_rows_is_scored_alike(count: int, leaves: int) -> None:
    table = ensemble(7, Arithmetic(), 1, leaves, FEATURES)
    kernel, rows = Kernel(table), rows_for(table, count, count)
    assert bits_of(table) is not None
    assert kernel(rows).tobytes() == one_by_one(kernel, rows).tobytes()


@kernel_needed
def test_a_table_too_wide_for_the_stack_is_scored_alike() -> None:
    random = np.random.default_rng(3)
    stumps = [replace(tree(random, 2), feature=np.array([place, -1, -1])) for place in range(400)]
    table = grown(stumps, 400, [0.0], Arithmetic())
    assert table is not None
    kernel, rows = Kernel(table), random.normal(size=(70, 400))
    assert kernel(rows).tobytes() == one_by_one(kernel, rows).tobytes()


@pytest.mark.parametrize(("leaves", "wide"), [(1, False), (32, False), (33, True), (64, True)])
def test_the_largest_tree_says_how_wide_words_are(leaves: int, wide: bool) -> None:
    found = bits_of(ensemble(1, Arithmetic(), 1, leaves))
    assert found is not None
    assert found.wide == wide


def test_a_tree_of_more_leaves_than_a_word_has_bits_is_walked() -> None:
    assert bits_of(ensemble(1, Arithmetic(), 1, 65)) is None


def test_trees_of_categories_are_walked() -> None:
    only = replace(tree(np.random.default_rng(0), 2), feature=np.array([CATEGORY, -1, -1]))
    table = grown([replace(only, categories={0: CategoricalSplit([1])})], FEATURES, [0.0], Arithmetic())
    assert table is not None
    assert bits_of(table) is None


def full() -> TreeTable:
    """One tree of four leaves, of which both children ask the same."""
    feature, threshold = np.array([0, 1, 1, -1, -1, -1, -1]), np.array([1.0, 2.0, 2.0, 0, 0, 0, 0])
    left, right = np.array([1, 3, 5, 0, 0, 0, 0]), np.array([2, 4, 6, 0, 0, 0, 0])
    table = grown(
        [Tree(feature, threshold, left, right, np.zeros(7, bool), np.arange(7.0))], FEATURES, [0.0], Arithmetic()
    )
    assert table is not None
    return table


def test_what_a_tree_asks_twice_is_asked_once() -> None:
    found = bits_of(full())
    assert found is not None
    assert [int(keep) & 0b1111 for keep in found.conditions["keep"]] == [0b1100, 0b1010]


def test_nodes_that_share_a_child_are_walked() -> None:
    table = full()
    table.nodes["child"][2] = table.nodes["child"][1]
    table.check()
    assert bits_of(table) is None


def test_a_threshold_that_no_number_has_is_walked() -> None:
    table = ensemble(5, Arithmetic(), 1, 8)
    table.nodes["key"][np.flatnonzero(table.inner)[0]] = np.iinfo(np.int64).max
    assert bits_of(table) is None
