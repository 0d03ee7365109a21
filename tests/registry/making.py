"""Versions that are made in a moment: a signature, and no files."""

from __future__ import annotations

from collections.abc import Mapping

from everloop.app.platform import Platform
from everloop.catalog.session import Session
from everloop.governance.entities import Principal
from everloop.registry import service as models
from everloop.registry.entities import Field, Model, ModelVersion, Signature

SIGNATURE = Signature((Field("x", "float64"),), (Field("p", "float64"),))
ANN, BOB, EVE = (Principal(name, ("owner",)) for name in ("ann", "bob", "eve"))


def tree(session: Session, metrics: Mapping[str, float] = {}, signature: Signature = SIGNATURE) -> Model:
    """A trained model without files."""
    return Model("mlflow", session.store.put_tree([]), signature, metrics=dict(metrics))


def registered(session: Session, name: str = "delay", metrics: Mapping[str, float] = {}) -> ModelVersion:
    """The next version of a name."""
    return models.register(session, name, tree(session, metrics))


def registered_by(platform: Platform, who: Principal, name: str = "delay", metrics: Mapping[str, float] = {}) -> int:
    """The number of the next version of a name, registered by somebody."""
    with platform.session(who).begin() as unit:
        return registered(unit, name, metrics).version
