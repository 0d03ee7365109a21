"""Registered models by name: the reference that names one, and the model loaded."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from everloop.catalog.session import Session
from everloop.kernel.errors import InvalidInput, Refused
from everloop.registry import service as models
from everloop.registry.entities import ModelVersion
from everloop.registry.save import load_model
from everloop.serving.direct import DirectModel

_REFERENCE = re.compile(r"models:/(?P<name>[^/@]+)(?:@(?P<alias>[^/@]+)|/(?P<version>[1-9]\d{0,8}))")


class Reference(NamedTuple):
    """A model's name, and a version by its number or by an alias."""

    name: str
    version: int
    alias: str


def parse(reference: str) -> Reference:
    """What `models:/NAME@ALIAS` or `models:/NAME/VERSION` says.

    Raises:
        InvalidInput: it is no such reference.
    """
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        raise InvalidInput(
            f"{reference!r} names no registered model.", hint="Write models:/NAME@ALIAS or models:/NAME/VERSION."
        )
    return Reference(match["name"], int(match["version"] or 0), match["alias"] or "")


def resolve(session: Session, references: Sequence[Reference]) -> list[tuple[str, int]]:
    """The names and versions that references lead to now, each once.

    Raises:
        NotFound: there is no such model, version or alias.
    """
    with session.begin(write=False) as unit:
        found = [models.version(unit, *reference) for reference in references]
    return list(dict.fromkeys((one.model, one.version) for one in found))


def load_direct(session: Session, reference: str) -> DirectModel:
    """The model that `models:/NAME@ALIAS` or `models:/NAME/VERSION` names.

    Raises:
        InvalidInput: it is no such reference.
        NotFound: there is no such model, version or alias.
    """
    return load_version(session, *parse(reference))


def require_signature(found: ModelVersion) -> None:
    """Refuse a version that says nothing of what it takes, before its library is loaded or its code is trusted.

    Raises:
        Refused: it was registered without a signature, or with types that no model takes here.
    """
    if not found.trained.signature.inputs:
        raise Refused(
            f"Version {found.version} of {found.model!r} has no signature, so nobody knows what it takes.",
            hint="Log it with signature=mlflow.models.infer_signature(inputs, outputs), of numbers, texts or tensors, "
            "and register it again.",
        )


def load_version(session: Session, name: str, version: int = 0, alias: str = "") -> DirectModel:
    """A version of a registered model by its number or by an alias; the newest when neither is given.

    Raises:
        NotFound: there is no such model, version or alias.
        Refused: nobody knows what it takes.
    """
    with session.begin(write=False) as unit:
        found = models.version(unit, name, version, alias)
        require_signature(found)
        return DirectModel(found.model, found.version, found.trained.signature, load_model(unit, found.trained))
