"""Values in the memo come back equal and of the same types; what people are shown can be handed in again."""

from __future__ import annotations

import json
from collections import namedtuple
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from everloop.backends.blobs.folder import FolderBlobs
from everloop.kernel.errors import InvalidInput
from everloop.pipelines.values import INLINE, decode, digest, encode, shown, table_bytes, unshown
from everloop.registry.entities import Field
from everloop.store.service import Store

Point = namedtuple("Point", "x y")


@dataclass
class Fitted:
    """A value of a class that computes a field of its own."""

    a: int
    twice: int = field(init=False)

    def __post_init__(self) -> None:
        self.twice = 2 * self.a


class Leaf(msgspec.Struct, frozen=True):
    """A value."""

    a: object = None


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store for all that these tests keep."""
    return Store(FolderBlobs(tmp_path_factory.mktemp("values")))


def back(value: object, store: Store) -> Any:
    """What is read where the value was written."""
    return decode(encode(value, store), store)


atoms = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(max_size=2 * INLINE)
    | st.datetimes().map(lambda at: at.replace(fold=0))
    | st.dates()
    | st.times().map(lambda at: at.replace(fold=0))
    | st.timedeltas()
    | st.decimals(allow_nan=False)
    | st.uuids()
)
keys = st.text() | st.integers() | st.tuples(st.integers(), st.text())
values = st.recursive(
    atoms,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(keys, inner, max_size=4)
        | inner.map(Leaf)
    ),
    max_leaves=10,
)


def typed(value: object) -> object:
    """A value with the type of each of its parts: 1, 1.0 and True are three."""
    if isinstance(value, dict):
        return {(type(key).__name__, key): typed(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value).__name__, [typed(item) for item in value]
    return type(value).__name__, typed(value.a) if isinstance(value, Leaf) else repr(value)


@given(values)
def test_any_value_comes_back_equal_and_of_the_same_types(store: Store, value: object) -> None:
    assert typed(back(value, store)) == typed(value)


@given(st.dictionaries(keys, st.integers(), min_size=2))
def test_the_order_of_a_mapping_does_not_count(store: Store, value: dict[object, int]) -> None:
    turned = dict(reversed(value.items()))
    assert digest(encode([value], store)) == digest(encode([turned], store))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, 1.0),
        (1, True),
        (0.0, -0.0),
        ("1", 1),
        ([1], (1,)),
        ({1}, frozenset({1})),
        (b"x", bytearray(b"x")),
        ({"a": 1}, {"a": 1, "b": None}),
        (np.int32(1), np.int64(1)),
        (datetime(2026, 1, 1, tzinfo=UTC).replace(tzinfo=None), datetime(2026, 1, 1, tzinfo=UTC)),
    ],
)
def test_what_is_not_the_same_has_another_digest(store: Store, one: object, other: object) -> None:
    assert digest(encode(one, store)) != digest(encode(other, store))


@pytest.mark.parametrize("value", [float("inf"), float("-inf")])
def test_numbers_that_json_lacks_come_back(store: Store, value: float) -> None:
    assert back([value], store) == [value]


def test_not_a_number_comes_back_as_none(store: Store) -> None:
    assert str(back(float("nan"), store)) == "nan"


@pytest.mark.parametrize(
    "value",
    [Point(1, (2,)), Fitted(3), UUID(int=5), Decimal("1.10"), time(1, 2), date(2026, 1, 1), timedelta(days=-1)],
    ids=lambda value: type(value).__name__,
)
def test_values_of_classes_come_back_as_such(store: Store, value: object) -> None:
    assert (type(back(value, store)), back(value, store)) == (type(value), value)


def test_a_field_that_is_unset_comes_back_unset(store: Store) -> None:
    assert back(Field("x", "float64"), store).form is msgspec.UNSET


def test_a_field_that_was_set_later_comes_back_as_it_was(store: Store) -> None:
    fitted = Fitted(3)
    fitted.twice = 7
    assert back(fitted, store).twice == 7


@pytest.mark.parametrize(("size", "stored"), [(INLINE, False), (INLINE + 1, True)])
def test_long_bytes_go_to_the_store_and_short_ones_do_not(store: Store, size: int, stored: bool) -> None:
    data = bytes(size)
    assert ("stored" in json.loads(encode(data, store))) == stored
    assert back(data, store) == data


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6).reshape(2, 3),
        np.array([1.5, np.nan], np.float32),
        np.array(["a", None], dtype=object),
        np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
        np.zeros((0, 3)),
        np.asfortranarray(np.arange(4).reshape(2, 2)),
        np.array(["2026-01-01"], "datetime64[D]"),
    ],
    ids=lambda array: f"{array.dtype.kind}{array.shape}",
)
def test_an_array_comes_back_with_its_type_and_shape(store: Store, array: np.ndarray) -> None:
    found = back(array, store)
    assert (found.dtype, found.shape) == (array.dtype, array.shape)
    assert np.array_equal(found, array, equal_nan=array.dtype.kind == "f")


def test_an_array_that_came_back_can_be_written(store: Store) -> None:
    found = back(np.arange(3), store)
    found[0] = 9
    assert found.tolist() == [9, 1, 2]


def test_a_table_has_the_same_bytes_however_it_lies_in_memory(store: Store) -> None:
    table = pa.table({"a": [1, 2, None, 4]})
    cut = pa.concat_tables([table.slice(0, 1), table.slice(1)])
    assert table_bytes(cut) == table_bytes(table)
    assert back(cut, store).equals(table)


@pytest.mark.parametrize("value", [object(), lambda: 1, open, {1: object()}, np.array([object()])])
def test_what_cannot_be_kept_is_refused_with_what_can_be(store: Store, value: object) -> None:
    with pytest.raises(InvalidInput) as caught:
        encode(value, store)
    assert "cannot give" in str(caught.value)
    assert "tables, arrays or bytes" in caught.value.problem.hint


def test_a_class_that_is_made_inside_a_function_is_refused_with_a_remedy(store: Store) -> None:
    class Inner(msgspec.Struct):
        a: int

    with pytest.raises(InvalidInput, match="made inside a function"):
        encode(Inner(1), store)


def test_people_are_shown_plain_json(store: Store) -> None:
    value = {"at": datetime(2026, 1, 1, tzinfo=UTC), "leaf": Leaf((1, 2)), "path": Path("data/x.csv")}
    plain = json.loads(json.dumps(shown(value, store)))
    assert plain == {"at": "2026-01-01T00:00:00Z", "leaf": {"a": [1, 2]}, "path": "data/x.csv"}


def test_what_plain_json_cannot_say_is_shown_so_that_it_can_be_handed_in_again(store: Store) -> None:
    array = np.arange(3)
    assert unshown(shown(array, store), store).tolist() == [0, 1, 2]
    assert unshown(shown(float("inf"), store), store) == float("inf")


@pytest.mark.parametrize("plain", [None, 5, "x", [1], {}, {"a": 1}])
def test_plain_json_is_handed_in_as_it_is(store: Store, plain: object) -> None:
    assert unshown(plain, store) == plain


def test_what_was_not_kept_cannot_be_handed_in_again(store: Store) -> None:
    with pytest.raises(InvalidInput, match=r"builtins\.object was handed in"):
        unshown(shown(object(), store), store)
