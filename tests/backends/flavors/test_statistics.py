"""statsmodels and Prophet: results and forecasts, without the data that they were fitted on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from everloop.app import backends
from everloop.kernel.errors import Corrupted, InvalidInput, Refused
from everloop.registry.columns import signature_of
from everloop.registry.entities import Field, Signature
from everloop.registry.flavor import outputs_of

pytestmark = pytest.mark.slow
DATA = {"a": np.random.default_rng(1).normal(size=120), "b": np.random.default_rng(2).normal(size=120)}
LABEL = (DATA["a"] + np.random.default_rng(3).normal(size=120) > 0).astype(float)
FORECAST = Signature((Field("ds", "string"),), (Field("yhat", "float64"), Field("trend", "float64")))


def flavor(name: str) -> Any:
    return backends.load("flavors", name)()


def frame() -> Any:
    import pandas as pd

    return pd.DataFrame(DATA)


class TestStatsmodels:
    """What is statsmodels' alone."""

    @pytest.mark.parametrize("kind", ["OLS", "Logit", "Probit", "GLM", "RLM", "QuantReg"])
    def test_loaded_results_predict_exactly_what_the_saved_ones_did(self, tmp_path: Path, kind: str) -> None:
        import statsmodels.api as sm

        rows = sm.add_constant(frame())
        options = {"disp": 0} if kind in ("Logit", "Probit") else {}
        native = getattr(sm, kind)(LABEL, rows).fit(**options)
        flavor("statsmodels").save(native, tmp_path, signature_of(DATA))
        found = flavor("statsmodels").load(tmp_path).predict(DATA)
        same = np.insert(np.column_stack(list(DATA.values())), 0, 1.0, axis=1)  # The layout decides the last digit.
        assert np.array_equal(found, np.asarray(native.predict(same)))
        assert flavor("statsmodels").scan(tmp_path) == []

    def test_the_data_that_it_was_fitted_on_is_not_kept(self, tmp_path: Path) -> None:
        import statsmodels.api as sm

        flavor("statsmodels").save(sm.OLS(LABEL, frame()).fit(), tmp_path, signature_of(DATA))
        assert DATA["a"].tobytes() not in (tmp_path / "model.pkl").read_bytes()

    def test_equal_results_have_equal_bytes(self, tmp_path: Path) -> None:
        import statsmodels.api as sm

        for copy in ("a", "b"):
            (tmp_path / copy).mkdir()
            flavor("statsmodels").save(sm.OLS(LABEL, frame()).fit(), tmp_path / copy, signature_of(DATA))
        assert (tmp_path / "a/model.pkl").read_bytes() == (tmp_path / "b/model.pkl").read_bytes()

    def test_a_formula_is_code(self, tmp_path: Path) -> None:
        import statsmodels.formula.api as smf

        native = smf.ols("y ~ a + np.square(b)", frame().assign(y=LABEL)).fit()
        flavor("statsmodels").save(native, tmp_path, signature_of(DATA))
        with pytest.raises(Refused, match="would import"):
            flavor("statsmodels").load(tmp_path)

    def test_a_hostile_pickle_is_refused_before_it_is_read(self, tmp_path: Path) -> None:
        (tmp_path / "model.pkl").write_bytes(b"cos\nsystem\n(S'touch /tmp/everloop-was-here'\ntR.")
        (tmp_path / "inputs.json").write_bytes(b"[]")
        with pytest.raises(Refused, match=r"os\.system"):
            flavor("statsmodels").load(tmp_path)

    def test_inputs_of_another_number_are_refused(self, tmp_path: Path) -> None:
        import statsmodels.api as sm

        native = sm.OLS(LABEL, sm.add_constant(frame())).fit()
        with pytest.raises(InvalidInput, match="2 inputs"):
            flavor("statsmodels").save(native, tmp_path, signature_of({"a": DATA["a"]}))


class TestProphet:
    """What is Prophet's alone."""

    @pytest.fixture(scope="class")
    def native(self) -> Any:
        import pandas as pd
        from prophet import Prophet

        days = pd.date_range("2026-01-01", periods=60)
        rows = pd.DataFrame({"ds": days, "y": np.arange(60.0) + np.arange(60) % 7})
        return Prophet(yearly_seasonality=False, daily_seasonality=False).fit(rows, seed=3)

    def days(self) -> dict[str, np.ndarray]:
        return {"ds": np.array(["2026-04-02", "2026-03-05T12:00:00", "2026-03-01"], dtype=object)}

    def test_a_loaded_forecast_is_the_saved_one_in_the_order_that_was_asked(self, tmp_path: Path, native: Any) -> None:
        import pandas as pd

        flavor("prophet").save(native, tmp_path, FORECAST)
        days = pd.DataFrame({"ds": pd.to_datetime(self.days()["ds"], format="ISO8601")})
        expected = native.predict(days).set_index("ds").loc[days["ds"]]
        found = outputs_of(flavor("prophet").load(tmp_path), FORECAST.outputs, self.days())
        assert np.allclose(found["yhat"], expected["yhat"], rtol=1e-12)
        assert np.allclose(found["trend"], expected["trend"], rtol=1e-12)

    def test_saving_twice_gives_the_same_bytes(self, tmp_path: Path, native: Any) -> None:
        for copy in ("a", "b"):
            (tmp_path / copy).mkdir()
            flavor("prophet").save(native, tmp_path / copy, FORECAST)
        assert (tmp_path / "a/model.json").read_bytes() == (tmp_path / "b/model.json").read_bytes()
        assert flavor("prophet").scan(tmp_path / "a") == []

    def test_a_day_that_is_none_is_named(self, tmp_path: Path, native: Any) -> None:
        flavor("prophet").save(native, tmp_path, FORECAST)
        with pytest.raises(InvalidInput, match="ISO 8601"):
            flavor("prophet").load(tmp_path).predict({"ds": np.array(["tomorrow"], dtype=object)})

    def test_a_file_that_was_cut_off_is_corrupted(self, tmp_path: Path, native: Any) -> None:
        flavor("prophet").save(native, tmp_path, FORECAST)
        path = tmp_path / "model.json"
        path.write_bytes(path.read_bytes()[:-20])
        with pytest.raises(Corrupted, match=r"model\.json"):
            flavor("prophet").load(tmp_path)

    def test_columns_that_it_was_not_given_are_refused(self, tmp_path: Path, native: Any) -> None:
        other = Signature((Field("day", "string"),), FORECAST.outputs)
        with pytest.raises(InvalidInput, match=r"1 inputs .ds."):
            flavor("prophet").save(native, tmp_path, other)
