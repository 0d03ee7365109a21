"""The request index: which requests were answered, in bounded memory."""

from __future__ import annotations

import numpy as np
import pytest

from everloop.registry.columns import MatrixColumns
from everloop.serving import requestindex
from everloop.serving.requestindex import digest_of
from tests.serving.conftest import World, column, plain


def test_equal_columns_have_equal_digests_whatever_their_order() -> None:
    one, other = plain(1.0, 2.0), dict(reversed(plain(1.0, 2.0).items()))
    assert digest_of(one) == digest_of(other)


@pytest.mark.parametrize(
    "other",
    [
        plain(1.0, 3.0),
        {"y": column(1.0, 2.0), "carrier": np.array(["AA", "AA"], dtype=object)},
        {"x": column(1.0, 2.0), "carrier": np.array(["AA", None], dtype=object)},
        {"x": column(1.0, 2.0), "carrier": np.array(["AA", "BB"], dtype=object)},
    ],
)
def test_other_columns_have_other_digests(other: dict[str, np.ndarray]) -> None:
    assert digest_of(plain(1.0, 2.0)) != digest_of(other)


def test_a_digest_fits_the_log_and_is_negative() -> None:
    digests = {digest_of(plain(float(number))) for number in range(200)}
    assert len(digests) == 200
    assert all(-(2**63) <= digest < 0 for digest in digests)


def test_numbers_have_one_digest_however_a_door_has_laid_them_out() -> None:
    matrix = MatrixColumns(("b", "a"), np.array([[1.0, 2.0], [3.0, 4.0]]))
    assert digest_of(matrix) == digest_of({"a": np.array([2, 4]), "b": np.array([1.0, 3.0])})


def test_the_oldest_requests_are_forgotten_first(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requestindex, "REMEMBERED", 3)
    world.register()
    world.create()
    predictor = world.predictor()
    for name in "abcd":
        predictor.predict(plain(1.0), name)
    assert predictor.predict(plain(1.0), "d").replayed
    assert world.predictor().predict(plain(1.0), "c").replayed
    assert not predictor.predict(plain(1.0), "a").replayed
