"""The account as text: every figure on the page is one that it was given."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from everloop.cli.demo.account import Account, Month, Promotion, Stopped, rendered

ACCOUNT = Account(
    predictions=12_345,
    labels=12_000,
    retrains=3,
    promoted=[Promotion(2, datetime(2013, 4, 1, tzinfo=UTC), "drift", "it moved", 321)],
    stopped_candidates=[
        Stopped(3, datetime(2013, 5, 1, tzinfo=UTC), "by hand", True, "the gate better_than", "not better", 0),
        Stopped(4, datetime(2013, 6, 1, tzinfo=UTC), "schedule", False, "a guard of its canary", "worse", 88),
    ],
    rollbacks=1,
    alarms=7,
    monthly=[Month(3, "never", 100, 0.61, 0.5, 0.02), Month(3, "loop", 101, 0.72, 0.4, 0.01)],
    skew_compared=5_000,
    skew_differing=0,
    memo_hits=5,
    memo_executed=0,
    trace="prediction:flights/delay@1\n  answered_by",
    reproduced=True,
    reproduction=["= train: abc abc"],
    audit_verified=True,
    audit_entries=432,
    seconds=71.3,
    peak_memory_mb=1_234.5,
    home="somewhere",
)


def test_a_month_stands_in_one_row_with_both_policies() -> None:
    row = next(line for line in rendered(ACCOUNT).splitlines() if "March" in line)
    assert row.split() == ["March", "101", "0.610", "0.720", "0.500", "0.400", "0.020", "0.010"]


def test_a_month_that_only_one_policy_has_is_left_out() -> None:
    alone = msgspec.structs.replace(ACCOUNT, monthly=[Month(4, "loop", 5, 0.7, 0.4, 0.1)])
    assert "April" not in rendered(alone)


def test_a_stopped_candidate_says_what_stopped_it_and_how_many_met_it() -> None:
    text = rendered(ACCOUNT)
    assert "version 3 (planted, by hand) by the gate better_than: not better (0 predictions met it)" in text
    assert "version 4 (schedule) by a guard of its canary: worse (88 predictions met it)" in text


def test_a_promotion_says_why_and_what_its_rollout_took() -> None:
    assert "version 2: drift (it moved; 321 predictions in its rollout)" in rendered(ACCOUNT)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "every hash equal"),
        ({"reproduced": False}, "NOT EQUAL"),
        ({}, "432 entries, the chain is intact"),
        ({"audit_verified": False}, "432 entries, TAMPERED WITH"),
        ({}, "0 of 5,000 feature values differ"),
        ({}, "71 s, 1,234 MB of memory"),
        ({}, "everloop up --home somewhere"),
    ],
)
def test_the_page_tells_the_truth_about(changes: dict[str, object], sentence: str) -> None:
    assert sentence in rendered(msgspec.structs.replace(ACCOUNT, **changes))


def test_the_trace_is_indented_below_its_title() -> None:
    lines = rendered(ACCOUNT).splitlines()
    at = lines.index("everloop trace of one prediction")
    assert lines[at + 1 : at + 3] == ["  prediction:flights/delay@1", "    answered_by"]


def test_as_json_it_has_what_others_build_on() -> None:
    fields = msgspec.json.decode(msgspec.json.encode(ACCOUNT))
    wanted = {"predictions", "retrains", "promoted", "stopped_candidates", "monthly", "reproduced", "audit_verified"}
    assert wanted | {"seconds", "peak_memory_mb", "home"} <= fields.keys()
    assert fields["monthly"][0] == {
        "month": 3, "policy": "never", "n": 100, "roc_auc": 0.61, "log_loss": 0.5, "calibration_error": 0.02,
    }  # fmt: skip
