"""Models in and out of the store: what a step calls to keep what it trained, and what everybody loads it with."""

from __future__ import annotations

import tempfile
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import NamedTuple

import msgspec

from everloop.catalog.session import Session, active_session
from everloop.kernel.errors import InvalidInput
from everloop.kernel.usecase import Json
from everloop.registry.compilation import kept
from everloop.registry.entities import Model, Provenance, Signature
from everloop.registry.flavor import CodeFlavor, Flavor, Predictor, Sandbox
from everloop.registry.trust import service as trust
from everloop.registry.watch import ModelWatch

AUTO = "auto"
_LIBRARIES = {
    "lightgbm", "xgboost", "catboost", "sklearn", "keras", "transformers", "torch", "onnx", "statsmodels", "prophet"
}  # fmt: skip
_KEPT = 8
_loaded: OrderedDict[tuple[str, str], _Loaded] = OrderedDict()
_made_here: set[str] = set()
"""The digests of the models that this process saved."""
_lock = Lock()


def save_model(
    native: object,
    *,
    flavor: str = AUTO,
    signature: Signature,
    provenance: Provenance = Provenance(),
    metrics: Mapping[str, float] = {},
    example: Mapping[str, Sequence[Json]] | None = None,
) -> Model:
    """Keep a library's own model in the store, from inside a step.

    `example` is a few rows of input by column, which are kept with the model's files. `auto` tells the flavor by the
    library that the model's class is of.

    `everloop.registry.columns` has `signature_of` for the signature and `InputMatrix` for the matrix to train on.

    Raises:
        InvalidInput: the model is not of this flavor, or does not fit the signature.
    """
    session = active_session()
    flavor = flavor_of(native) if flavor == AUTO else flavor
    with tempfile.TemporaryDirectory(prefix="everloop-model-") as name:
        session.ports.get(Flavor, flavor).save(native, Path(name), signature)
        if example is not None:
            (Path(name) / "input_example.json").write_bytes(_split(example))
        digest = session.store.put_folder(Path(name))
    _made_here.add(digest)
    known = {field: getattr(provenance, field) for field in Provenance.__struct_fields__}
    return Model(flavor, digest, signature, metrics=dict(metrics), **known)


def _split(example: Mapping[str, Sequence[Json]]) -> bytes:
    """Rows by column, as MLflow writes them."""
    if len({len(values) for values in example.values()}) != 1:
        raise InvalidInput("An example has equally many rows in each column.")
    rows = [list(row) for row in zip(*example.values(), strict=True)]
    return msgspec.json.encode({"columns": list(example), "data": rows})


def flavor_of(native: object) -> str:
    """The flavor of a model, by the library of its class or of the nearest class that it inherits from.

    Raises:
        InvalidInput: no library is known, and it has neither `predict` nor `infer`.
    """
    for kind in type(native).__mro__:
        library = kind.__module__.partition(".")[0]
        if library in _LIBRARIES:
            return library
    if hasattr(native, "predict") or hasattr(native, "infer"):
        return "python"
    raise InvalidInput(
        f"A {type(native).__name__} is no model of a library that is known here.", hint="Name its flavor."
    )


def load_model(session: Session, model: Model) -> Predictor:
    """The model, loaded; the last few are kept in memory, since their bytes cannot change.

    A process that watches its models gets one that is watched.

    One that brings code is run in a sandbox, when somebody trusts it (`models.trust`) or when this very process made it
    and so has run that code already.

    Raises:
        NotFound: the store does not have its files.
        Refused: it holds something that is not known to be safe.
    """

    def load() -> Predictor:
        with session.begin(write=False) as unit:  # The caller's has ended, when a watch loads a model later.
            return _once(unit, model)

    return session.ports.get(ModelWatch).admit(model.digest, load)


def _once(session: Session, model: Model) -> Predictor:
    key = (model.flavor, model.digest)
    with _lock:
        known = _loaded.get(key)
        if known is not None:
            _loaded.move_to_end(key)
    if known is None:
        return _keep(key, *(_compiled(session, model) or _opened(session, model)))
    if known.code:
        _require_trust(session, model, known.code)
    return known.predictor


def forget(model: Model) -> None:
    """Load the model anew when it is asked for next, because it was compiled in the meantime."""
    with _lock:
        _loaded.pop((model.flavor, model.digest), None)


class _Loaded(NamedTuple):
    """A model in memory, and what of it needs trust."""

    predictor: Predictor
    code: list[str]


def _opened(session: Session, model: Model) -> tuple[Predictor, list[str]]:
    with tempfile.TemporaryDirectory(prefix="everloop-model-") as name:
        folder = Path(name)
        session.store.checkout(model.digest, folder)
        flavor = session.ports.get(Flavor, model.flavor)
        code = flavor.code_in(folder) if isinstance(flavor, CodeFlavor) else []
        if code:
            _require_trust(session, model, code)
        if code or session.ports.get(Sandbox).everything:
            return session.ports.get(Sandbox).load(flavor, folder, bool(code)), code
        return flavor.load(folder), []


def _compiled(session: Session, model: Model) -> tuple[Predictor, list[str]] | None:
    """The model's compiled form, which brings no code; the native one is loaded when it is asked to explain."""
    found = kept.known(session, model)
    if found is None or not found.compiled:
        return None
    from everloop.registry.compilation.compiler import loaded

    predictor = loaded(session, model, found, lambda: _opened(session, model)[0])
    return None if predictor is None else (predictor, [])


def _require_trust(session: Session, model: Model, code: list[str]) -> None:
    if model.digest not in _made_here:
        trust.require_trust(session, model, code)


def _keep(key: tuple[str, str], predictor: Predictor, code: list[str]) -> Predictor:
    with _lock:
        _loaded[key] = _Loaded(predictor, code)
        while len(_loaded) > _KEPT:
            _loaded.popitem(last=False)
    return predictor
