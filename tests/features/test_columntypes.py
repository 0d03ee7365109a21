"""What a column can be, by its type."""

from __future__ import annotations

import pyarrow as pa
import pytest

from everloop.datasets.text import type_name
from everloop.features.columntypes import is_key, is_number, is_time, key_kind
from everloop.kernel.errors import InvalidInput

NUMBERS = [pa.int8(), pa.uint64(), pa.float16(), pa.float32(), pa.float64(), pa.bool_(), pa.decimal128(9, 2)]
TEXTS = [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())]
TIMES = [pa.timestamp("us"), pa.timestamp("ns", "UTC"), pa.date32(), pa.date64()]
OTHERS = [pa.binary(), pa.list_(pa.string()), pa.list_(pa.int64()), pa.duration("us"), pa.time64("us")]


@pytest.mark.parametrize("kind", NUMBERS + TEXTS + TIMES + OTHERS, ids=str)
def test_a_type_is_a_number_a_text_a_time_or_nothing(kind: pa.DataType) -> None:
    for named in (type_name(kind), str(kind)):
        assert is_number(named) == (kind in NUMBERS)
        assert is_time(named) == (kind in TIMES)
        assert is_key(named) == (kind in TEXTS or pa.types.is_integer(kind) or pa.types.is_boolean(kind))


def test_keys_are_texts_or_whole_numbers() -> None:
    assert (key_kind("string", "k"), key_kind("uint8", "k")) == ("string", "int64")
    for kind in ("float64", "timestamp[us]", "binary", "list<item: string>"):
        with pytest.raises(InvalidInput, match="Key column 'k' has type"):
            key_kind(kind, "k")


def test_a_wholly_empty_column_can_be_a_key_or_a_feature() -> None:
    assert is_key("null")
    assert is_number("null")
