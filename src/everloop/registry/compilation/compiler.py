"""Compiling a model and proving it, and loading what was compiled."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from everloop.catalog.session import Session
from everloop.kernel.errors import EverloopError
from everloop.registry.columns import MatrixColumns
from everloop.registry.compilation.entities import Compilation, Engine, Evidence
from everloop.registry.compilation.kept import keep, known
from everloop.registry.entities import FILES, Model
from everloop.registry.flavor import CodeFlavor, Flavor, GraphFlavor, Predictor, TensorPredictor, TreeFlavor
from everloop.registry.save import forget
from everloop.registry.trees.compiled import ONNX, TREES, CompiledPredictor, load_compiled
from everloop.store.entities import Digest

_NUMBERS = ("float", "int", "uint", "bool")


def compiled_once(session: Session, model: Model) -> Compilation | None:
    """The compilation of a model, made now unless there is one; None when nothing could be made of it by any flavor.

    It never fails: a model that cannot be compiled stays native, and the reason is kept. Takes a second or two, and
    holds no transaction meanwhile.
    """
    if model.flavor == FILES or not session.store.has(model.digest):
        return None
    return known(session, model) or compile_again(session, model)


def compile_again(session: Session, model: Model) -> Compilation:
    """Compile a model anew, and keep what came out in place of what was known."""
    with tempfile.TemporaryDirectory(prefix="everloop-compile-") as name:
        folder = Path(name)
        (folder / "compiled").mkdir()
        try:
            session.store.checkout(model.digest, folder / "model")
            engine, evidence, reason = _attempt(session, model, folder / "model", folder / "compiled")
        except EverloopError as error:
            engine, evidence, reason = "native", Evidence(), error.message
        except Exception as error:  # noqa: BLE001 - libraries raise anything, and a model serves natively all the same
            engine, evidence, reason = "native", Evidence(), f"{type(error).__name__}: {error}"
        digest = session.store.put_folder(folder / "compiled") if engine != "native" else ""
    at = session.clock.now()
    made = keep(session, Compilation(model.flavor, model.digest, engine, digest, reason, evidence, at))
    forget(model)  # Who asks next gets what is proven now.
    return made


def loaded(
    session: Session, model: Model, found: Compilation, native: Callable[[], Predictor]
) -> CompiledPredictor | None:
    """A model's compiled form, ready to be asked; None where nothing here runs it."""
    with tempfile.TemporaryDirectory(prefix="everloop-model-") as name:
        try:
            session.store.checkout(Digest(found.compiled), Path(name))
            return load_compiled(Path(name), model.signature.inputs, native)
        except EverloopError:
            return None  # The native model is there all the same, and `everloop store fsck` tells of the loss.


def _attempt(session: Session, model: Model, source: Path, target: Path) -> tuple[Engine, Evidence, str]:
    """Write the compiled form into a folder and prove it: which engine won, the evidence, and what speaks for it."""
    flavor = session.ports.get(Flavor, model.flavor)
    inputs = model.signature.inputs
    if not isinstance(flavor, TreeFlavor | GraphFlavor) or (isinstance(flavor, CodeFlavor) and flavor.code_in(source)):
        return "native", Evidence(), f"Models of the flavor {model.flavor} run in their own library."
    if any(field.shape or field.form or not field.type.startswith((*_NUMBERS, "string")) for field in inputs):
        return "native", Evidence(), "It takes more than one number or string for each input."
    found = _written(flavor, source, target)
    if found is None:
        return "native", Evidence(), "It is no ensemble of trees that is known, and has no graph in float64."
    engine, boundary = found
    native = flavor.load(source)
    predictor = load_compiled(target, inputs)
    if predictor is None or isinstance(native, TensorPredictor):
        return "native", Evidence(), "Nothing here runs the compiled form."
    return _proven(session, model, engine, (native, predictor), boundary)


def _written(flavor: object, source: Path, target: Path) -> tuple[Engine, Callable[[np.ndarray], np.ndarray]] | None:
    """The compiled form in a folder, if there is one: its engine, and what makes boundary rows of a sample."""
    from everloop.registry.trees import boundary
    from everloop.registry.trees.kernel import available
    from everloop.registry.trees.onnx import to_onnx

    table = flavor.trees(source) if isinstance(flavor, TreeFlavor) else None
    if table is not None:
        table.check()
        if available():
            table.save(target / TREES)
            return "trees", lambda sample: boundary.boundary_rows(table, sample)
        graph = to_onnx(table)
        if graph is None:
            return None
        (target / ONNX).write_bytes(graph)
        return "onnx", lambda sample: boundary.boundary_rows(table, sample)
    graph = flavor.graph(source) if isinstance(flavor, GraphFlavor) else None
    if graph is None:
        return None
    (target / ONNX).write_bytes(graph)
    return "onnx", lambda sample: np.empty((0, sample.shape[1]))


def _proven(
    session: Session,
    model: Model,
    engine: Engine,
    pair: tuple[Predictor, Predictor],
    boundary: Callable[[np.ndarray], np.ndarray],
) -> tuple[Engine, Evidence, str]:
    from everloop.registry.compilation.proof import TOLERANCE, holds, prove
    from everloop.registry.compilation.sample import sample_of

    sample = _answered(pair[0], sample_of(session, model))
    proof = prove(*pair, sample, boundary(sample))
    if holds(proof):
        return engine, proof, f"It is equal on {proof.rows:,} rows, and faster for 1 row and for 64."
    if proof.difference > TOLERANCE:
        return "native", proof, f"The compiled form differs by up to {proof.difference:.3g}."
    return "native", proof, "The compiled form is not faster for both 1 and 64 rows."


def _answered(native: Predictor, sample: np.ndarray) -> np.ndarray:
    """The sample without what the native model refuses: missing values become noughts if it takes none."""
    names = tuple(field.name for field in native.inputs)
    try:
        native.predict(MatrixColumns(names, sample))
    except Exception:  # noqa: BLE001 - whatever it says of missing values
        return np.ascontiguousarray(np.nan_to_num(sample, posinf=0.0, neginf=0.0))
    return sample
