"""The account as text: every figure on the page is one that it was given."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from everloop.cli.demo.account import (
    Account,
    Compiled,
    Copy,
    Correction,
    DataAccount,
    Keeping,
    Month,
    Packed,
    Promotion,
    Refusal,
    SetAside,
    Stopped,
    SubjectFound,
    Taken,
    rendered,
)

DATA = DataAccount(
    received=12,
    received_bytes=31_500_000,
    refused=[Refusal("2013-07", "a column is gone")],
    quarantined=[SetAside("flights", 7, "dep_delay is never missing")],
    suites=3,
    expectations=21,
    taken=[
        Taken(1, "January", 27_000, 900_000),
        Taken(2, "February", 51_000, 850_000),
        Taken(3, "March", 80_000, 950_000),
    ],
    correction=Correction("planes", 3, (2, 1), 3_322, 5, 6),
    splits=4,
    splits_proved=4,
    tagged="training@april",
    subject=SubjectFound("N14228", 111, 9, 2),
    copy=Copy(1_234, 5_600_000, {"flights": True, "planes": False}),
    keeping=Keeping(40, 400_000_000, 2_000, 40_000_000, 3, 20_000, True),
)
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
    data=DATA,
    skew_compared=5_000,
    skew_differing=0,
    memo_hits=5,
    memo_executed=0,
    compiled=Compiled("trees", 20_000, 0, 25.2, 4.4),
    packed=Packed("archive", "abc", 1_234_567, verified=True),
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


def test_the_compiled_champion_and_its_package_are_told_of() -> None:
    told = rendered(ACCOUNT)
    assert "runs compiled: 4.4 µs for one row, 25.2 µs before; 0 of 20,000 rows off" in told
    assert "packed as archive: 1,235 kB, predicts as the registry does" in told


def test_a_package_that_predicts_something_else_is_told_of() -> None:
    broken = msgspec.structs.replace(ACCOUNT, packed=Packed("archive", "abc", 5_000, verified=False))
    assert "DOES NOT PREDICT THE SAME" in rendered(broken)


def test_a_champion_in_its_own_library_is_told_of() -> None:
    native = msgspec.structs.replace(ACCOUNT, compiled=Compiled("native", 0, 0, 0.0, 0.0))
    assert "runs in its own library" in rendered(native)


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


@pytest.mark.parametrize(
    "sentence",
    [
        "12 deliveries in a folder under versions, 31.5 MB of CSV; 21 expectations of 3 datasets in the way",
        "refused: 2013-07. a column is gone",
        "set aside: rows of flights: 7 (dep_delay is never missing)",
        "flights@1 is 0.9 MB; each of 2 months that were appended adds 0.8 MB to 0.9 MB, and flights@3 has 80,000 rows",
        "planes@3 is @2 and @1, merged row by row: 5 of 3,322 rows corrected in 6 cells",
        "4 of 4 splits proved to share nothing",
        "N14228 has 111 flights; it is in 9 versions of datasets",
        "1 of 2 datasets are the same, byte by byte",
        "40 versions of 400.0 MB are 2,000 objects in 40.0 MB; 3 of them (0.0 MB) nobody needs; whole",
    ],
)
def test_the_page_tells_what_became_of_the_data(sentence: str) -> None:
    assert sentence in rendered(ACCOUNT)


def test_a_store_that_is_not_whole_is_told_loudly() -> None:
    broken = msgspec.structs.replace(DATA, keeping=msgspec.structs.replace(DATA.keeping, whole=False))
    assert "DAMAGED" in rendered(msgspec.structs.replace(ACCOUNT, data=broken))


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
