"""Models in and out of the store: what a step calls to keep what it trained, and what everybody loads it with."""

from __future__ import annotations

import tempfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from threading import Lock

from everloop.catalog.session import Session, active_session
from everloop.registry.entities import Model, Provenance, Signature
from everloop.registry.flavor import Flavor, Predictor

_KEPT = 8
_loaded: OrderedDict[tuple[str, str], Predictor] = OrderedDict()
_lock = Lock()


def save_model(
    native: object,
    *,
    flavor: str,
    signature: Signature,
    provenance: Provenance = Provenance(),
    metrics: Mapping[str, float] = {},
) -> Model:
    """Keep a library's own model in the store, from inside a step.

    `everloop.registry.columns` has `signature_of` for the signature and `InputMatrix` for the matrix to train on.

    Raises:
        InvalidInput: the model is not of this flavor, or does not fit the signature.
    """
    session = active_session()
    with tempfile.TemporaryDirectory(prefix="everloop-model-") as name:
        session.ports.get(Flavor, flavor).save(native, Path(name), signature)
        digest = session.store.put_folder(Path(name))
    known = {field: getattr(provenance, field) for field in Provenance.__struct_fields__}
    return Model(flavor, digest, signature, metrics=dict(metrics), **known)


def load_model(session: Session, model: Model) -> Predictor:
    """The model, loaded; the last few are kept in memory, since their bytes cannot change.

    Raises:
        NotFound: the store does not have its files.
        Refused: it holds something that is not known to be safe.
    """
    key = (model.flavor, model.digest)
    with _lock:
        if key in _loaded:
            _loaded.move_to_end(key)
            return _loaded[key]
    with tempfile.TemporaryDirectory(prefix="everloop-model-") as name:
        session.store.checkout(model.digest, Path(name))
        predictor = session.ports.get(Flavor, model.flavor).load(Path(name))
    with _lock:
        _loaded[key] = predictor
        while len(_loaded) > _KEPT:
            _loaded.popitem(last=False)
    return predictor
