"""Drift is found, ranked by what it does to the model, and not seen where there is none."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np
import pytest

from everloop.monitoring.detector import limits
from everloop.monitoring.drift import impact, score
from everloop.monitoring.entities import Budget, DriftScore, Reference
from everloop.monitoring.profile import profile
from everloop.monitoring.reference import build_reference
from tests.monitoring.logs import ROWS, Columns, contributions, days, outputs, quiet

LIMIT = limits(Budget(), watched=10)


@pytest.fixture(scope="module")
def reference() -> Reference:
    return build_reference(quiet(np.random.default_rng(1)), contributions)


@pytest.fixture(scope="module")
def spells() -> Reference:
    """A world whose days differ as a whole, as weather does."""
    return build_reference(quiet(np.random.default_rng(2), 40, spell=0.5), contributions)


def judged(reference: Reference, columns: Columns) -> dict[str, DriftScore]:
    """The scores of a window by feature."""
    return {
        feature.name: score(feature, profile(feature, columns[feature.name]), 0.0, LIMIT)
        for feature in reference.features
    }


def alarms(reference: Reference, windows: int, **world: float) -> int:
    random = np.random.default_rng(3)
    found = [judged(reference, days(1, random, **world)) for _ in range(windows)]
    return sum(any(one.drifted for one in scores.values()) for scores in found)


def test_quiet_windows_do_not_alarm(reference: Reference, spells: Reference) -> None:
    assert alarms(reference, 150) == 0
    assert alarms(spells, 150, spell=0.5) == 0


def test_without_the_learned_nulls_days_that_differ_would_alarm_all_the_time(reference: Reference) -> None:
    assert alarms(reference, 50, spell=0.5) > 20


def test_windows_of_another_size_do_not_alarm(spells: Reference) -> None:
    random = np.random.default_rng(4)
    for _ in range(30):
        columns = days(4, random) | {"wind": random.normal(random.normal(0, 0.5), 1, 4 * ROWS)}
        assert not judged(spells, columns)["wind"].drifted


def scaled(columns: Columns) -> Columns:
    return columns | {"wind": columns["wind"] * 2}


def in_other_units(columns: Columns) -> Columns:
    part = np.arange(len(columns["rain"])) % 12 == 0
    return columns | {"rain": np.where(part, columns["rain"] * 1000, columns["rain"])}


def stuck(columns: Columns) -> Columns:
    return columns | {"rain": np.full(len(columns["rain"]), 0.7)}


def new_category(columns: Columns) -> Columns:
    return columns | {"carrier": np.where(np.arange(ROWS) % 12 == 0, "ZZ", columns["carrier"]).astype(object)}


def no_seats(columns: Columns) -> Columns:
    return columns | {"seats": np.where(np.arange(ROWS) % 10 == 0, np.nan, columns["seats"])}


def tails(columns: Columns) -> Columns:
    return columns | {"wind": np.where(np.arange(ROWS) % 10 == 0, 4.0, columns["wind"])}


def shifted(columns: Columns) -> Columns:
    return columns | {"wind": columns["wind"] + 0.5}


@pytest.mark.parametrize(
    ("trouble", "feature"),
    [
        (shifted, "wind"),
        (scaled, "wind"),
        (in_other_units, "rain"),
        (stuck, "rain"),
        (new_category, "carrier"),
        (no_seats, "seats"),
        (tails, "wind"),
    ],
)
def test_trouble_is_found_in_the_first_window_and_in_its_feature_only(
    reference: Reference, trouble: Callable[[Columns], Columns], feature: str
) -> None:
    random = np.random.default_rng(5)
    for _ in range(5):
        found = judged(reference, trouble(days(1, random)))
        assert [name for name, one in found.items() if one.drifted] == [feature]


def test_a_single_missing_value_where_there_was_none_is_no_alarm(reference: Reference) -> None:
    columns = days(1, np.random.default_rng(6))
    columns["seats"][0] = np.nan
    assert not judged(reference, columns)["seats"].drifted


def test_a_slight_missing_surge_is_found_by_the_test_for_it(reference: Reference) -> None:
    columns = days(1, np.random.default_rng(7))
    columns["rain"][::30] = np.nan
    assert judged(reference, columns)["rain"].statistic == "missing"


@pytest.mark.parametrize("shift", [0.15, 0.25])
def test_a_shift_too_slight_for_one_window_is_found_over_some(reference: Reference, shift: float) -> None:
    random = np.random.default_rng(11)
    wind, evidence = reference.features[0], 0.0
    found = []
    for _ in range(40):
        one = score(wind, profile(wind, days(1, random, wind=shift)["wind"]), evidence, LIMIT)
        evidence = one.evidence
        found.append(one.drifted)
    assert not found[0]
    assert found.index(True) < 30


def test_drift_of_what_the_model_ignores_has_no_impact_and_of_what_it_uses_much(reference: Reference) -> None:
    found = judged(reference, shifted(no_seats(days(1, np.random.default_rng(8)))))
    assert found["seats"].drifted
    assert found["wind"].impact > 0.05 > 0.005 > found["seats"].impact


def test_the_impact_is_about_what_the_output_really_moves_by(reference: Reference) -> None:
    random = np.random.default_rng(9)
    columns = days(20, random)
    moved = columns | {"wind": columns["wind"] + 0.5}
    before, after = (outputs(part).mean() for part in (columns, moved))
    wind = reference.features[0]
    assert impact(wind, profile(wind, moved["wind"])) == pytest.approx(after - before, rel=0.25)


def test_quiet_windows_have_hardly_any_impact(reference: Reference) -> None:
    random = np.random.default_rng(10)
    wind = reference.features[0]
    seen = [impact(wind, profile(wind, days(1, random)["wind"])) for _ in range(40)]
    assert np.mean(seen) < 0.01


def test_a_feature_whose_effect_on_the_model_is_unknown_has_no_impact(reference: Reference) -> None:
    feature = msgspec.structs.replace(reference.features[0], curve=())
    far = profile(feature, np.full(ROWS, 1e6))
    assert impact(feature, far) == 0.0
