"""The hash chain: what was written cannot be changed unseen."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select, update

from everloop.app.platform import Platform
from everloop.catalog.entities import ChainReport, LedgerEntry
from everloop.catalog.ledger import GENESIS, entry_hash
from everloop.catalog.session import Session
from everloop.catalog.tables import chain_head, ledger
from everloop.kernel.clock import SimulatedClock, from_micros, micros
from tests.catalog.events import Noted
from tests.examples import examples

COLUMNS = ("at", "project", "principal", "kind", "subject", "event", "previous", "hash")


@pytest.fixture
def chain(platform: Platform) -> Platform:
    """A platform with five entries in its ledger."""
    for number in range(5):
        with platform.session().begin() as unit:
            unit.emit(Noted(subject=f"thing:default/{number}", text=f"text {number}"))
    return platform


def verify(platform: Platform) -> ChainReport:
    report: ChainReport = platform.call("audit.verify", {})
    return report


def entry(unit: Session, sequence: int) -> dict[str, object]:
    return dict(unit.connection.execute(select(ledger).where(ledger.c.sequence == sequence)).one()._mapping)


def tamper(platform: Platform, change: Callable[[Session], object]) -> ChainReport:
    """What verification says after somebody with access to the database changed it."""
    with platform.session().begin() as unit:
        change(unit)
    return verify(platform)


def rehash(fields: dict[str, object]) -> dict[str, object]:
    """An entry with the hash that it should have: the forger knows the algorithm."""
    listed = [fields["sequence"], micros(fields["at"])]  # type: ignore[arg-type]  # The column holds a time.
    listed += [fields[name] for name in ("project", "principal", "kind", "subject", "event", "previous")]
    return fields | {"hash": entry_hash(listed)}


def test_an_untouched_chain_is_intact(chain: Platform) -> None:
    report = verify(chain)
    assert (report.intact, report.entries, report.first_broken) == (True, 5, None)


def test_an_empty_chain_is_intact(platform: Platform) -> None:
    assert verify(platform) == ChainReport(0, True, GENESIS)


def test_each_entry_follows_the_one_before(chain: Platform) -> None:
    entries: list[LedgerEntry] = chain.call("audit.entries", {})
    assert [found.sequence for found in entries] == [5, 4, 3, 2, 1]
    assert [found.previous for found in entries] == [*(found.hash for found in entries[1:]), GENESIS]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("at", from_micros(1)),
        ("project", "other"),
        ("principal", "somebody"),
        ("kind", "tests.invented"),
        ("subject", "thing:default/9"),
        ("event", '{"kind":"tests.noted","subject":"thing:default/2","text":"nicer"}'),
    ],
)
def test_a_changed_field_is_named(chain: Platform, column: str, value: object) -> None:
    report = tamper(
        chain, lambda unit: unit.execute(update(ledger).where(ledger.c.sequence == 3).values({column: value}))
    )
    assert (report.intact, report.first_broken) == (False, 3)
    assert "changed after it was written" in report.reason


def test_a_changed_entry_with_a_matching_hash_shows_at_the_next(chain: Platform) -> None:
    def forge(unit: Session) -> None:
        fields = rehash(entry(unit, 3) | {"principal": "somebody"})
        unit.execute(update(ledger).where(ledger.c.sequence == 3).values(fields))

    report = tamper(chain, forge)
    assert (report.intact, report.first_broken) == (False, 4)
    assert "does not follow entry 3" in report.reason


def test_a_removed_entry_is_missed(chain: Platform) -> None:
    report = tamper(chain, lambda unit: unit.execute(delete(ledger).where(ledger.c.sequence == 2)))
    assert (report.intact, report.first_broken, report.reason) == (False, 2, "Entry 2 is missing.")


def test_a_removed_entry_whose_gap_was_closed_shows(chain: Platform) -> None:
    def forge(unit: Session) -> None:
        unit.execute(delete(ledger).where(ledger.c.sequence == 2))
        for sequence in (3, 4, 5):
            unit.execute(update(ledger).where(ledger.c.sequence == sequence).values(sequence=sequence - 1))

    report = tamper(chain, forge)
    assert (report.intact, report.first_broken) == (False, 2)
    assert "does not follow entry 1" in report.reason


def test_an_inserted_entry_shows(chain: Platform) -> None:
    def forge(unit: Session) -> None:
        for sequence in (5, 4, 3):
            unit.execute(update(ledger).where(ledger.c.sequence == sequence).values(sequence=sequence + 1))
        before = entry(unit, 2)
        unit.insert(ledger, rehash(before | {"sequence": 3, "previous": before["hash"]}))

    report = tamper(chain, forge)
    assert (report.intact, report.first_broken) == (False, 4)


def test_reordered_entries_show(chain: Platform) -> None:
    def forge(unit: Session) -> None:
        for source, target in ((3, 99), (4, 3), (99, 4)):
            unit.execute(update(ledger).where(ledger.c.sequence == source).values(sequence=target))

    report = tamper(chain, forge)
    assert (report.intact, report.first_broken) == (False, 3)
    assert "moved" in report.reason


def test_a_cut_tail_shows(chain: Platform) -> None:
    report = tamper(chain, lambda unit: unit.execute(delete(ledger).where(ledger.c.sequence > 3)))
    assert (report.intact, report.first_broken) == (False, 4)
    assert "cut off after entry 3" in report.reason


def test_a_chain_that_was_wiped_shows(chain: Platform) -> None:
    report = tamper(chain, lambda unit: unit.execute(delete(ledger)))
    assert (report.intact, report.first_broken) == (False, 1)


def test_an_entry_forged_past_the_end_shows(chain: Platform) -> None:
    def forge(unit: Session) -> None:
        last = entry(unit, 5)
        unit.insert(ledger, rehash(last | {"sequence": 6, "previous": last["hash"]}))

    report = tamper(chain, forge)
    assert (report.intact, report.first_broken) == (False, 6)
    assert "inserted after the chain's end" in report.reason


def test_an_entry_forged_before_the_beginning_shows(chain: Platform) -> None:
    report = tamper(chain, lambda unit: unit.insert(ledger, rehash(entry(unit, 1) | {"sequence": 0})))
    assert not report.intact
    assert "before the chain's beginning" in report.reason


def test_a_replaced_last_entry_shows(chain: Platform) -> None:
    def forge(unit: Session) -> None:
        fields = rehash(entry(unit, 5) | {"principal": "somebody"})
        unit.execute(update(ledger).where(ledger.c.sequence == 5).values(fields))

    report = tamper(chain, forge)
    assert (report.intact, report.first_broken) == (False, 5)


def test_a_removed_head_shows(chain: Platform) -> None:
    assert not tamper(chain, lambda unit: unit.execute(delete(chain_head))).intact


def test_the_first_of_several_flaws_is_the_one_that_is_named(chain: Platform) -> None:
    def forge(unit: Session) -> None:
        unit.execute(delete(ledger).where(ledger.c.sequence == 4))
        unit.execute(update(ledger).where(ledger.c.sequence == 2).values(principal="somebody"))

    assert tamper(chain, forge).first_broken == 2


@settings(max_examples=examples(25), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sequence=st.integers(1, 5),
    column=st.sampled_from(COLUMNS),
    data=st.text("0123456789abcdef", min_size=64, max_size=64),
)
def test_any_change_of_any_field_shows(chain: Platform, sequence: int, column: str, data: str) -> None:
    with chain.session().begin() as unit:
        before = entry(unit, sequence)
    value: object = from_micros(int(data[:12], 16)) if column == "at" else data
    try:
        report = tamper(
            chain,
            lambda unit: unit.execute(update(ledger).where(ledger.c.sequence == sequence).values({column: value})),
        )
        assert report.intact == (before[column] == value)
    finally:
        with chain.session().begin() as unit:
            unit.execute(update(ledger).where(ledger.c.sequence == sequence).values(before))
    assert verify(chain).intact


def test_verification_goes_through_several_pages(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("everloop.catalog.ledger._PAGE", 3)
    for number in range(3):
        with platform.session().begin() as unit:
            for text in range(number + 1):
                unit.emit(Noted(subject="x", text=str(text)))
    assert verify(platform).entries == 6
    assert tamper(platform, lambda unit: unit.execute(delete(ledger).where(ledger.c.sequence == 4))).first_broken == 4


def test_entries_are_found_by_kind_subject_and_page(chain: Platform, clock: SimulatedClock) -> None:
    def found(**arguments: object) -> list[int]:
        return [entry.sequence for entry in chain.call("audit.entries", arguments)]

    assert found(kind="tests.") == [5, 4, 3, 2, 1]
    assert found(kind="models.") == []
    assert found(subject="thing:default/3") == [4]
    assert found(before=3) == [2, 1]
    assert found(limit=2) == [5, 4]
    assert chain.call("audit.entries", {"limit": 1})[0].at == clock.now()


def test_entries_of_another_project_are_not_shown(chain: Platform) -> None:
    assert chain.call("audit.entries", {}, project="other") == []


def test_entries_keep_what_the_event_said(chain: Platform) -> None:
    (newest,) = chain.call("audit.entries", {"limit": 1})
    assert newest.event == {"kind": "tests.noted", "subject": "thing:default/4", "text": "text 4"}
    assert newest.kind == "tests.noted"
