"""What a model gives goes by the names of its signature."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from everloop.kernel.errors import EverloopError
from everloop.registry.entities import Field
from everloop.registry.flavor import outputs_of


class Scores:
    """A model that always gives the same."""

    inputs = (Field("a", "float64"),)

    def __init__(self, found: np.ndarray) -> None:
        self._found = found

    def predict(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        return self._found

    def contributions(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        raise NotImplementedError  # Nobody asks this model how its inputs moved a score.


def outputs(*names: str) -> list[Field]:
    return [Field(name, "float64") for name in names]


def test_each_class_has_its_own_name_or_one_name_stands_for_all() -> None:
    scores = np.arange(6.0).reshape(2, 3)
    assert list(outputs_of(Scores(scores), outputs("x", "y", "z"), {})) == ["x", "y", "z"]
    assert outputs_of(Scores(scores), outputs("all"), {})["all"].shape == (2, 3)  # type: ignore[union-attr]


@pytest.mark.parametrize(("shape", "count"), [((2,), 1), ((2, 3), 3)])
def test_another_number_of_outputs_than_the_signature_s_is_said(shape: tuple[int, ...], count: int) -> None:
    with pytest.raises(EverloopError, match=f"names 2 outputs, but it gives {count}"):
        outputs_of(Scores(np.zeros(shape)), outputs("x", "y"), {})
