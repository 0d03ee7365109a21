"""Quantities of cores and memory."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everloop.kernel.errors import InvalidInput
from everloop.packaging.manifests.quantities import cpu_of, cpu_text, memory_of, memory_text


@given(st.integers(1, 1_024_000))
def test_cores_are_read_as_they_are_written(millis: int) -> None:
    assert cpu_of(cpu_text(millis)) == millis


@given(st.integers(16, 2**24))
def test_memory_is_read_as_it_is_written(mebibytes: int) -> None:
    assert memory_of(memory_text(mebibytes)) == mebibytes


@pytest.mark.parametrize(
    ("text", "mebibytes"),
    [("1Gi", 1024), ("1G", 954), ("134217728", 128), ("0.5Gi", 512), ("20000Ki", 20), ("1Ti", 2**20)],
)
def test_every_unit_of_memory_is_known_and_rounded_up(text: str, mebibytes: int) -> None:
    assert memory_of(text) == mebibytes


@pytest.mark.parametrize("text", ["", "0", "-1", "1e3", "1.2345", "1 core", "9999999", "m", "0.0001", "1\n", "１"])
def test_what_is_no_number_of_cores_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="cores"):
        cpu_of(text)


@pytest.mark.parametrize("text", ["", "0", "1", "1GB", "-1Gi", "1gi", "100Ti", "15Mi", "1Mi\n"])
def test_what_is_no_amount_of_memory_for_a_model_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="memory"):
        memory_of(text)
