"""Registered models by name: the reference that names one, and the model loaded."""

from __future__ import annotations

import re

from everloop.catalog.session import Session
from everloop.kernel.errors import InvalidInput
from everloop.registry import service as models
from everloop.registry.save import load_model
from everloop.serving.direct import DirectModel

_REFERENCE = re.compile(r"models:/(?P<name>[^/@]+)(?:@(?P<alias>[^/@]+)|/(?P<version>[1-9]\d{0,8}))")


def load_direct(session: Session, reference: str) -> DirectModel:
    """The model that `models:/NAME@ALIAS` or `models:/NAME/VERSION` names.

    Raises:
        InvalidInput: it is no such reference.
        NotFound: there is no such model, version or alias.
    """
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        raise InvalidInput(
            f"{reference!r} names no registered model.", hint="Write models:/NAME@ALIAS or models:/NAME/VERSION."
        )
    return load_version(session, match["name"], int(match["version"] or 0), match["alias"] or "")


def load_version(session: Session, name: str, version: int = 0, alias: str = "") -> DirectModel:
    """A version of a registered model by its number or by an alias; the newest when neither is given.

    Raises:
        NotFound: there is no such model, version or alias.
    """
    with session.begin(write=False) as unit:
        found = models.version(unit, name, version, alias)
        return DirectModel(found.model, found.version, found.trained.signature, load_model(unit, found.trained))
