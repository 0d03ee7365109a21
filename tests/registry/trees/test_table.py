"""Tables from elsewhere are not trusted: what could lead the kernel astray is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from everloop.kernel.errors import Corrupted
from everloop.registry.trees.growth import CategoricalSplit, Tree, divided, grown
from everloop.registry.trees.table import Arithmetic, TreeTable, keys_of, load_table, numbers_of

FLOATS = st.floats(allow_nan=False)


def stump(**changes: object) -> Tree:
    """One question about feature 1: at most 2.5 goes left."""
    told = {
        "feature": np.array([1, -1, -1]),
        "threshold": np.array([2.5, 0, 0]),
        "left": np.array([1, 0, 0]),
        "right": np.array([2, 0, 0]),
        "missing_left": np.array([True, False, False]),
        "value": np.array([0.0, 10.0, 20.0]),
    }
    return Tree(**(told | changes))  # type: ignore[arg-type]


def table(**changes: object) -> TreeTable:
    made = grown([stump(**changes), stump()], 3, [0.0], Arithmetic())
    assert made is not None
    return made


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (lambda t: t.nodes["child"].__setitem__(0, 0), "child"),
        (lambda t: t.nodes["child"].__setitem__(0, -5), "child"),
        (lambda t: t.nodes["child"].__setitem__(3, 5), "child"),
        (lambda t: t.nodes["child"].__setitem__(1, 2), "leaf"),
        (lambda t: t.nodes["column"].__setitem__(0, 7), "feature"),
        (lambda t: t.nodes["flags"].__setitem__(0, 9), "flags"),
        (lambda t: t.nodes["flags"].__setitem__(0, 1), "set"),
        (lambda t: t.roots.__setitem__(0, 6), "roots"),
        (lambda t: t.roots.__setitem__(0, -1), "roots"),
        (lambda t: t.outputs.__setitem__(0, 1), "output"),
        (lambda t: t.sets.__setitem__(0, 3), "sets"),
    ],
)
def test_a_table_that_would_lead_astray_is_refused(
    spoil: Callable[[TreeTable], None], what: str, tmp_path: Path
) -> None:
    made = table()
    spoil(made)
    made.save(tmp_path / "trees.bin")
    with pytest.raises(Corrupted, match=what):
        load_table(tmp_path / "trees.bin")


def test_a_leaf_that_names_values_which_are_not_there_is_refused(tmp_path: Path) -> None:
    made = grown([stump(value=np.zeros((3, 2)))], 3, [0.0, 0.0], Arithmetic())
    assert made is not None
    made.nodes["key"][1] = 99
    made.save(tmp_path / "trees.bin")
    with pytest.raises(Corrupted, match="values"):
        load_table(tmp_path / "trees.bin")


@given(st.data())
def test_a_file_that_was_cut_or_changed_is_refused_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("trees") / "trees.bin"
    table(categories={0: CategoricalSplit([1, 3], [2])}).save(path)
    whole = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(whole) - 1))
    changed = whole[:at] if data.draw(st.booleans()) else whole
    if len(changed) == len(whole):
        changed[at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(bytes(changed))
    try:
        load_table(path).check()
    except Corrupted:
        return


def test_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(Corrupted, match=r"no trees\.bin"):
        load_table(tmp_path / "trees.bin")


def test_a_tree_that_goes_in_circles_is_no_tree() -> None:
    assert grown([stump(left=np.array([0, 0, 0]))], 3, [0.0], Arithmetic()) is None


def test_a_feature_that_there_is_not_makes_no_table() -> None:
    assert grown([stump(feature=np.array([3, -1, -1]))], 3, [0.0], Arithmetic()) is None


@given(FLOATS, FLOATS)
def test_keys_are_in_the_order_of_their_numbers(one: float, other: float) -> None:
    first, second = keys_of(np.array([one, other]))
    assert (first < second) == (one < other)
    assert (first == second) == (one == other)
    assert numbers_of(keys_of(np.array([one])))[0] == one


def test_a_strict_question_that_no_number_passes_makes_no_table() -> None:
    threshold = np.array([-np.inf, 0, 0])
    assert grown([stump(threshold=threshold)], 3, [0.0], Arithmetic(), strict=True) is None
    assert grown([stump(threshold=threshold)], 3, [0.0], Arithmetic()) is not None


@given(FLOATS, FLOATS, st.booleans(), st.booleans())
def test_a_moved_threshold_divides_as_the_library_does(
    value: float, threshold: float, float32: bool, strict: bool
) -> None:
    assume(not (strict and threshold == -np.inf))
    moved = divided(np.array([threshold]), float32=float32, strict=strict)[0]
    with np.errstate(over="ignore"):
        compared = np.float64(np.float32(value)) if float32 else np.float64(value)
    expected = compared < threshold if strict else compared <= threshold
    assert (value <= moved) == expected


@given(st.floats(width=32, allow_nan=False, allow_infinity=False), st.booleans())
def test_the_last_value_that_is_rounded_to_a_threshold_goes_with_it(threshold: float, strict: bool) -> None:
    moved = divided(np.array([threshold]), float32=True, strict=strict)[0]
    beyond = np.nextafter(moved, np.inf)
    with np.errstate(over="ignore"):
        inside, outside = np.float32(moved), np.float32(beyond)
    assert inside < threshold if strict else inside <= threshold
    assert outside >= threshold if strict else outside > threshold
