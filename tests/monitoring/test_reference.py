"""References hold what quiet times are like, small enough to keep in the catalog."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace

from everloop.kernel.errors import InvalidInput
from everloop.monitoring.entities import Reference
from everloop.monitoring.reference import Quiet, build_reference, effective_since
from tests.monitoring.logs import DAY, ROWS, START, contributions, outputs, quiet


def test_a_reference_survives_being_kept_as_json() -> None:
    made = build_reference(quiet(np.random.default_rng(1)), contributions)
    text = msgspec.json.encode(made)
    assert msgspec.json.decode(text, type=Reference) == made
    assert len(text) < 20_000


def test_the_same_rows_make_the_same_reference() -> None:
    first, second = (build_reference(quiet(np.random.default_rng(1)), contributions) for _ in range(2))
    assert first == second


def test_it_tells_what_it_was_made_of() -> None:
    made = build_reference(quiet(np.random.default_rng(1)), contributions)
    assert (made.rows, made.model_version, made.chunk) == (30 * ROWS, 3, DAY)
    assert [feature.name for feature in made.features] == ["wind", "rain", "seats", "carrier"]
    assert made.end < START < made.end + timedelta(minutes=5)
    assert made.performance is not None
    assert made.performance.n == made.rows


def test_contributions_are_turned_into_units_of_the_output() -> None:
    made = build_reference(quiet(np.random.default_rng(1)), contributions)
    slope = made.slope
    assert 0.1 < slope < 0.25  # The mean of p(1-p), for outputs around 0.3.
    wind = made.features[0]
    assert wind.curve[-2] - wind.curve[0] == pytest.approx(slope * 5, rel=0.2)


def test_without_contributions_the_curve_is_the_mean_output_of_each_bin() -> None:
    made = build_reference(quiet(np.random.default_rng(1)))
    assert made.attribution == ()
    assert made.features[0].curve[-2] > made.features[0].curve[0] + 0.3
    assert np.ptp(made.features[2].curve[1:5]) < 0.03


def test_a_short_reference_is_cut_into_blocks_of_rows() -> None:
    made = build_reference(quiet(np.random.default_rng(1), count=2))
    assert made.features[0].nulls["mean"].chunks == 20


def test_thin_days_are_left_out_of_what_days_are_like() -> None:
    whole = quiet(np.random.default_rng(1), count=20)
    kept = np.ones(len(whole.at), dtype=bool)
    kept[5 * ROWS + 10 : 6 * ROWS] = False
    thinned = Quiet({name: values[kept] for name, values in whole.columns.items()}, whole.at[kept], whole.output[kept])
    assert build_reference(thinned).features[0].nulls["mean"].chunks == 19


def test_labels_that_have_not_come_are_left_out_of_the_performance() -> None:
    rows = quiet(np.random.default_rng(1))
    rows.label[::2] = np.nan
    made = build_reference(rows)
    assert made.performance is not None
    assert made.performance.n == made.rows / 2
    assert build_reference(Quiet(rows.columns, rows.at, rows.output)).performance is None


def test_columns_of_other_lengths_and_too_few_rows_are_refused() -> None:
    rows = quiet(np.random.default_rng(1))
    with pytest.raises(InvalidInput, match="wind"):
        build_reference(Quiet({"wind": np.zeros(3)}, rows.at, rows.output))
    with pytest.raises(InvalidInput, match="2 rows"):
        build_reference(Quiet({}, rows.at[:2], rows.output[:2]))


def test_features_that_are_constant_or_all_missing_make_a_reference_too() -> None:
    rows = quiet(np.random.default_rng(1), count=10)
    odd = {"same": np.full(len(rows.at), 3.0), "none": np.full(len(rows.at), np.nan)}
    made = build_reference(Quiet(odd, rows.at, outputs(rows.columns)))
    assert [set(feature.nulls) for feature in made.features] == [{"distribution", "missing"}] * 2
    msgspec.json.decode(msgspec.json.encode(made), type=Reference)


def test_the_reference_of_a_window_is_the_newest_that_was_set_before_its_end() -> None:
    made = build_reference(quiet(np.random.default_rng(1), count=3))
    first, second = replace(made, since=START), replace(made, since=START + 3 * DAY)
    assert effective_since((first, second), START + 2 * DAY) == first
    assert effective_since((first, second), START + 4 * DAY) == second
    assert effective_since((first, second), START - DAY) == first
    assert effective_since((), START) is None
