"""Verification: the rows that a package is asked, and how its answer is judged."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import cast

import msgspec
import numpy as np
import pytest

from everloop.catalog.session import Session
from everloop.kernel.errors import EverloopError, InvalidInput, Refused
from everloop.packaging import verification
from everloop.packaging.entities import Manifest, Package
from everloop.packaging.runner import Answer, decoded, predict
from everloop.packaging.verification import ROWS, compared, examples
from everloop.registry.columns import arrays_of, check_inputs
from everloop.registry.entities import Field, Signature
from everloop.store.entities import Digest

SIGNATURE = Signature(
    (
        Field("distance", "float64"),
        Field("hour", "int64"),
        Field("carrier", "string", categories=("AA", "UA")),
        Field("night", "bool", nullable=False),
        Field("key", "float64", nullable=False),
    ),
    (Field("probability", "float64"),),
)
DIGEST = Digest("d" * 64)
MANIFEST = Manifest("delay", 1, DIGEST, SIGNATURE, "a:B", (), (), "everloop")
SESSION = cast(Session, None)
"""Nobody asks it for anything here: what a package answers is made up."""
PACKAGE = Package("delay", 1, "archive", DIGEST, 1, MANIFEST, datetime(2026, 1, 1, tzinfo=UTC))


class Doubler:
    """A model whose score is twice the key."""

    inputs = SIGNATURE.inputs

    def predict(self, columns: dict[str, np.ndarray]) -> np.ndarray:
        return columns["key"] * 2

    def contributions(self, columns: dict[str, np.ndarray]) -> np.ndarray:
        return np.zeros((len(columns["key"]), len(self.inputs)))


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the package answers; it starts as what the model does."""
    scores = [2 * float(value) for value in examples(SIGNATURE)["key"]]  # type: ignore[arg-type]  # numbers
    monkeypatch.setattr(verification, "run_packed", lambda *_: Answer("delay", 1, scores))
    return scores


def test_the_examples_are_what_the_signature_asks_for() -> None:
    assert check_inputs(SIGNATURE, arrays_of(SIGNATURE, examples(SIGNATURE))) == ROWS


def test_the_examples_are_the_same_each_time() -> None:
    assert examples(SIGNATURE) == examples(SIGNATURE)


def test_the_examples_hold_gaps_only_where_they_may() -> None:
    gaps = {name for name, values in examples(SIGNATURE).items() if None in values}
    assert gaps == {"distance", "hour", "carrier"}


def test_the_examples_hold_every_category_and_an_unseen_one() -> None:
    values = set(examples(SIGNATURE)["carrier"])
    assert {"AA", "UA", None} < values
    assert len(values) == 4


def test_the_examples_hold_numbers_of_every_size_and_sign() -> None:
    numbers = np.array([value for value in examples(SIGNATURE)["distance"] if value is not None])
    assert (numbers < 0).any()
    assert np.abs(numbers).min() < 1
    assert np.abs(numbers).max() > 100_000


def test_equal_scores_pass(answer: list[float]) -> None:
    found = compared(SESSION, PACKAGE, Doubler())
    assert (found.passed, found.largest_difference, found.package) == (True, 0.0, DIGEST)


def test_one_score_that_differs_in_its_last_bit_does_not_pass(answer: list[float]) -> None:
    answer[7] = float(np.nextafter(answer[7], np.inf))
    found = compared(SESSION, PACKAGE, Doubler())
    assert not found.passed
    assert 0 < found.largest_difference < 1e-6


def test_scores_of_another_shape_do_not_pass(answer: list[float]) -> None:
    answer.pop()
    found = compared(SESSION, PACKAGE, Doubler())
    assert (found.passed, found.largest_difference) == (False, float("inf"))


@pytest.mark.parametrize("said", [b"", b"Traceback\nMemoryError: none left", b'{"error": 3}', b"\xff\xfe"])
def test_a_package_that_dies_in_its_own_way_is_refused(said: bytes) -> None:
    assert isinstance(verification._failure(said), Refused)


def test_a_package_that_tells_its_error_raises_the_same_here() -> None:
    told = msgspec.json.encode({"error": InvalidInput("Missing: hour.", hint="Send it.").problem})
    error: EverloopError = verification._failure(told)
    assert isinstance(error, InvalidInput)
    assert (error.message, error.hint) == ("Missing: hour.", "Send it.")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'{"columns": []}', b'{"columns": {"key": [{}]}}', b"\xff"])
def test_a_request_that_is_none_is_refused_by_the_runner(body: bytes) -> None:
    with pytest.raises(InvalidInput, match="cannot be read"):
        predict(MANIFEST, Doubler(), body)


def test_the_runner_names_what_a_request_lacks() -> None:
    with pytest.raises(InvalidInput, match="Missing: distance, hour, carrier, night"):
        predict(MANIFEST, Doubler(), b'{"columns": {"key": [1.0]}}')


def test_the_runner_answers_with_the_model_and_its_version() -> None:
    body = msgspec.json.encode({"columns": examples(SIGNATURE)})
    found = predict(MANIFEST, Doubler(), body)
    assert (found.model, found.version, len(found.scores)) == ("delay", 1, ROWS)


TENSORS = Signature(
    (Field("image", "float32", shape=(2, -1)), Field("raw", "bytes", nullable=False), Field("n", "int64")),
    (Field("label", "string"), Field("box", "float64", shape=(2,)), Field("sure", "float64")),
)


class Named:
    """A model with a text, an array and a number for each row."""

    inputs = TENSORS.inputs

    def __init__(self, word: str = "big", more: float = 0.0) -> None:
        self.word, self.more = word, more

    def infer(self, columns: dict[str, np.ndarray]) -> dict[str, object]:
        sums = columns["image"].astype(float).sum(axis=(1, 2))
        sure = np.array([float(len(raw)) for raw in columns["raw"]]) + self.more
        return {"label": [self.word] * len(sums), "box": np.stack([sums, -sums], axis=1), "sure": sure}


def packed_named(monkeypatch: pytest.MonkeyPatch, packed: Named) -> verification.Verification:
    manifest = msgspec.structs.replace(MANIFEST, signature=TENSORS)
    body = msgspec.json.encode({"columns": examples(TENSORS)})
    told = msgspec.json.encode(predict(manifest, packed, body))  # type: ignore[arg-type]  # it has no contributions
    monkeypatch.setattr(verification, "run_packed", lambda *_: msgspec.json.decode(told, type=Answer))
    return compared(SESSION, msgspec.structs.replace(PACKAGE, manifest=manifest), Named())  # type: ignore[arg-type]


def test_arrays_and_bytes_have_examples_that_fit() -> None:
    columns = arrays_of(TENSORS, decoded(TENSORS, examples(TENSORS)))
    assert check_inputs(TENSORS, columns) == ROWS
    assert columns["image"].shape == (ROWS, 2, 1)
    assert {type(raw) for raw in columns["raw"]} == {bytes}


def test_outputs_of_several_kinds_are_compared_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    found = packed_named(monkeypatch, Named())
    assert (found.passed, found.largest_difference) == (True, 0.0)


@pytest.mark.parametrize(("packed", "difference"), [(Named(word="small"), float("inf")), (Named(more=0.5), 0.5)])
def test_one_output_that_differs_does_not_pass(
    monkeypatch: pytest.MonkeyPatch, packed: Named, difference: float
) -> None:
    found = packed_named(monkeypatch, packed)
    assert (found.passed, found.largest_difference) == (False, difference)


def test_bytes_that_are_no_base64_are_named() -> None:
    with pytest.raises(InvalidInput, match="raw is not base64"):
        decoded(TENSORS, {"raw": ["?"]})
