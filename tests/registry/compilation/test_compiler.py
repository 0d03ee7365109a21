"""Models are compiled when they are registered, and only what was proven is loaded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from everloop.app.platform import Platform
from everloop.kernel.errors import InvalidInput
from everloop.registry.columns import InputMatrix, MatrixColumns, signature_of
from everloop.registry.compilation import compiler, kept, proof
from everloop.registry.compilation.entities import Evidence
from everloop.registry.entities import Model
from everloop.registry.flavor import Flavor
from everloop.registry.save import forget, load_model, save_model
from everloop.registry.trees import kernel
from everloop.registry.trees.compiled import CompiledPredictor
from tests.registry.conftest import Columns

needs_kernel = pytest.mark.skipif(not kernel.available(), reason="There was no C compiler.")


@pytest.fixture
def registered(platform: Platform, trained_apart: Model) -> Model:
    platform.call("models.register", {"name": "delay", "trained": trained_apart})
    return trained_apart


@needs_kernel
def test_a_model_is_compiled_as_it_is_registered(platform: Platform, registered: Model) -> None:
    found = platform.call("models.compilation", {"name": "delay"})
    assert (found.engine, found.digest) == ("trees", registered.digest)
    assert found.evidence.boundary_rows > 100
    assert found.evidence.equal == found.evidence.rows
    assert found.evidence.difference == 0


@needs_kernel
def test_what_is_loaded_is_the_compiled_form_and_predicts_the_same(
    platform: Platform, registered: Model, columns: Columns, tmp_path: Path
) -> None:
    session = platform.session()
    predictor = load_model(session, registered)
    assert isinstance(predictor, CompiledPredictor)
    session.store.checkout(registered.digest, tmp_path / "native")
    native = session.ports.get(Flavor, "lightgbm").load(tmp_path / "native")
    assert np.array_equal(predictor.predict(columns), native.predict(columns))
    assert np.array_equal(predictor.contributions(columns), native.contributions(columns))


@needs_kernel
def test_a_matrix_is_taken_as_it_is(platform: Platform, registered: Model, columns: Columns) -> None:
    predictor = load_model(platform.session(), registered)
    matrix = InputMatrix(registered.signature.inputs)(columns)
    expected = predictor.predict(columns)
    assert np.array_equal(predictor.predict(MatrixColumns(tuple(columns), matrix)), expected)


@needs_kernel
def test_a_missing_column_is_named(platform: Platform, registered: Model, columns: Columns) -> None:
    with pytest.raises(InvalidInput, match="distance"):
        load_model(platform.session(), registered).predict({"hour": columns["hour"]})


def test_the_proof_stands_on_the_model_card(platform: Platform, registered: Model) -> None:
    card = platform.call("models.card", {"name": "delay"})
    assert "## Compilation" in card
    assert "rows compared" in card


def test_a_model_that_was_compiled_is_not_compiled_again(platform: Platform, registered: Model) -> None:
    before = kept.known(platform.session(), registered)
    platform.call("models.register", {"name": "other", "trained": registered})
    assert kept.known(platform.session(), registered) == before


def test_without_a_compiler_models_run_in_another_engine(
    platform: Platform, trained_apart: Model, columns: Columns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel, "LIBRARY", Path("/nowhere.so"))
    kernel.library.cache_clear()
    platform.call("models.register", {"name": "delay", "trained": trained_apart})
    found = platform.call("models.compilation", {"name": "delay"})
    assert found.engine != "trees"
    assert len(load_model(platform.session(), trained_apart).predict(columns)) == 300
    kernel.library.cache_clear()


@needs_kernel
def test_a_form_that_nothing_here_runs_leaves_the_native_model(
    platform: Platform, registered: Model, columns: Columns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel, "LIBRARY", Path("/nowhere.so"))
    kernel.library.cache_clear()
    forget(registered)
    assert not isinstance(load_model(platform.session(), registered), CompiledPredictor)
    kernel.library.cache_clear()


def test_a_failure_to_compile_is_kept_and_fails_no_registration(
    platform: Platform, trained_apart: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("the reader is wrong")

    monkeypatch.setattr(compiler, "_attempt", broken)
    platform.call("models.register", {"name": "delay", "trained": trained_apart})
    found = platform.call("models.compilation", {"name": "delay"})
    assert (found.engine, found.compiled) == ("native", "")
    assert "the reader is wrong" in found.reason


def test_a_form_that_differs_is_not_taken(
    platform: Platform, trained_apart: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CompiledPredictor, "predict", lambda self, columns: np.zeros(len(columns.matrix)))
    platform.call("models.register", {"name": "delay", "trained": trained_apart})
    found = platform.call("models.compilation", {"name": "delay"})
    assert (found.engine, found.compiled) == ("native", "")
    assert found.evidence.difference > 1e-3


@pytest.mark.parametrize(
    ("evidence", "kept_"),
    [
        (Evidence(rows=9, native_us=(20, 90), compiled_us=(4, 80)), True),
        (Evidence(rows=9, native_us=(20, 90), compiled_us=(4, 95)), False),
        (Evidence(rows=9, native_us=(20, 90), compiled_us=(21, 80)), False),
        (Evidence(rows=9, difference=1e-8, native_us=(20, 90), compiled_us=(4, 80)), False),
        (Evidence(native_us=(20, 90), compiled_us=(4, 80)), False),
    ],
)
def test_only_what_is_equal_and_faster_both_ways_is_kept(evidence: Evidence, kept_: bool) -> None:
    assert proof.holds(evidence) is kept_


@needs_kernel
def test_a_compiled_form_is_kept_by_the_collector(platform: Platform, registered: Model) -> None:
    from everloop.governance import retention

    found = kept.known(platform.session(), registered)
    assert found is not None
    with platform.session().begin(write=False) as unit:
        assert found.compiled in {digest for digest, _ in retention.references(unit)}


@needs_kernel
def test_loading_a_compiled_model_imports_no_library_of_models(
    platform: Platform, registered: Model, tmp_path: Path
) -> None:
    found = kept.known(platform.session(), registered)
    assert found is not None
    platform.resources.store.checkout(found.compiled, tmp_path / "compiled")  # type: ignore[arg-type]
    script = """
import sys, numpy as np
from pathlib import Path
from everloop.registry.entities import Field
from everloop.registry.trees.compiled import load_compiled
carrier = Field("carrier", "string", categories=("AA", "B6", "UA"))
fields = [Field("distance", "float64"), Field("hour", "int64"), carrier]
predictor = load_compiled(Path(sys.argv[1]), fields)
predictor.predict({"distance": np.array([1.0]), "hour": np.array([3]), "carrier": np.array(["AA"], object)})
print(*({"lightgbm", "sklearn", "pandas", "onnxruntime", "sqlalchemy", "pyarrow"} & set(sys.modules)))
"""
    run = [sys.executable, "-c", script, str(tmp_path / "compiled")]
    assert subprocess.run(run, capture_output=True, text=True, check=True).stdout.strip() == ""


@pytest.mark.slow
def test_a_linear_model_runs_as_a_graph(platform: Platform, columns: Columns) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    numbers = {"distance": np.nan_to_num(columns["distance"]), "hour": columns["hour"].astype(float)}
    signature = signature_of(numbers)
    fitted = make_pipeline(StandardScaler(), LogisticRegression()).fit(
        InputMatrix(signature.inputs)(numbers), columns["hour"] > 12
    )
    with platform.session().activate():
        model = save_model(fitted, flavor="sklearn", signature=signature)
    platform.call("models.register", {"name": "line", "trained": model})
    found = platform.call("models.compilation", {"name": "line"})
    assert found.engine == "onnx"
    predictor = load_model(platform.session(), model)
    assert np.allclose(predictor.predict(numbers), fitted.predict_proba(InputMatrix(signature.inputs)(numbers))[:, 1])
    with pytest.raises(InvalidInput, match="distance of row 1"):
        predictor.predict(numbers | {"distance": np.where(np.arange(300) == 1, np.nan, 1.0)})


def test_a_model_is_compiled_again_on_request(platform: Platform, registered: Model) -> None:
    before = load_model(platform.session(), registered)
    made = platform.call("models.compile", {"name": "delay", "version": 1})
    assert made.digest == registered.digest
    assert load_model(platform.session(), registered) is not before
