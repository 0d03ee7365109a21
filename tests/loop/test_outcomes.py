"""Answers joined to their labels as both come in."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from everloop.loop import outcomes
from everloop.loop.outcomes import OutcomeLog

EVER = (0, 2**62)


def served(*rows: tuple[str, float], at: int = 10, role: str = "stable") -> pa.RecordBatch:
    return pa.record_batch(
        {
            "prediction_id": [f"id-{key}" for key, _ in rows],
            "key": [key for key, _ in rows],
            "at": pa.array([at] * len(rows), pa.int64()),
            "role": [role] * len(rows),
            "output": pa.array([score for _, score in rows], pa.float64()),
        }
    )


def told(**labels: float) -> pa.RecordBatch:
    return pa.record_batch({"key": list(labels), "value": list(labels.values())})


def test_an_answer_counts_once_its_label_is_known() -> None:
    log = OutcomeLog()
    log.predictions([served(("a", 0.2), ("b", 0.9))])
    log.labels([told(b=1.0)])
    found = log.between(*EVER)
    assert (found.score.tolist(), found.truth.tolist()) == ([0.9], [1.0])


def test_a_label_that_comes_before_its_prediction_waits_for_it() -> None:
    log = OutcomeLog()
    log.labels([told(a=1.0)])
    log.predictions([served(("a", 0.3))])
    assert log.between(*EVER).truth.tolist() == [1.0]


def test_the_first_answer_and_the_first_label_of_a_key_count() -> None:
    log = OutcomeLog()
    log.predictions([served(("a", 0.3)), served(("a", 0.8))])
    log.labels([told(a=0.0), told(a=1.0)])
    found = log.between(*EVER)
    assert (found.score.tolist(), found.truth.tolist()) == ([0.3], [0.0])


def test_challengers_shadows_and_failures_are_left_out() -> None:
    log = OutcomeLog()
    log.predictions([served(("a", 0.3), role="canary"), served(("b", 0.3), role="shadow"), served(("c", float("nan")))])
    log.labels([told(a=1.0, b=1.0, c=1.0)])
    assert len(log.between(*EVER)) == 0


def test_a_prediction_without_a_key_is_labelled_by_its_id() -> None:
    log = OutcomeLog()
    log.predictions([served(("", 0.4))])
    log.labels([told(**{"id-": 1.0})])
    assert len(log.between(*EVER)) == 1


def test_a_span_is_closed_before_its_end_whatever_the_order_of_the_log() -> None:
    log = OutcomeLog()
    log.predictions([served(("c", 0.3), at=30), served(("a", 0.1), at=10), served(("b", 0.2), at=20)])
    log.labels([told(a=1.0, b=1.0, c=1.0)])
    assert log.between(10, 30).at.tolist() == [10, 20]


def test_the_oldest_answers_are_forgotten_when_there_are_too_many(monkeypatch) -> None:
    monkeypatch.setattr(outcomes, "KEPT", 100)
    log = OutcomeLog()
    for n in range(120):
        log.predictions([served((f"k{n}", 0.5), at=n)])
    log.labels([told(**{f"k{n}": 1.0 for n in range(120)})])
    kept = log.between(*EVER).at
    assert len(kept) <= 100
    assert kept.tolist() == list(range(int(kept[0]), 120))


@given(st.lists(st.tuples(st.integers(0, 20), st.booleans()), max_size=60), st.integers(0, 2**32))
def test_however_the_logs_are_cut_into_batches_the_outcomes_are_the_same(
    happenings: list[tuple[int, bool]], seed: int
) -> None:
    random = np.random.default_rng(seed)
    whole, pieces = OutcomeLog(), OutcomeLog()
    asked = [(f"k{key}", float(random.random())) for key, is_label in happenings if not is_label]
    labels = list(dict.fromkeys(f"k{key}" for key, is_label in happenings if is_label))
    whole.predictions([served(*asked)] if asked else [])
    whole.labels([told(**dict.fromkeys(labels, 1.0))] if labels else [])
    waiting = list(asked)
    for label in labels:
        pieces.labels([told(**{label: 1.0})])
        if waiting:
            pieces.predictions([served(waiting.pop(0))])
    for one in waiting:
        pieces.predictions([served(one)])
    assert whole.between(*EVER).score.tolist() == pieces.between(*EVER).score.tolist()
