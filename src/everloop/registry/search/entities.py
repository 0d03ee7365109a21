"""What the search gives."""

from __future__ import annotations

import msgspec

from everloop.registry.entities import ModelVersion, RegisteredModel


class Wanted(msgspec.Struct, frozen=True):
    """What is looked for, in which order, and after which cursor."""

    filter: str = ""
    order_by: tuple[str, ...] = ()
    limit: int = 100
    cursor: str = ""


class ModelPage(msgspec.Struct, frozen=True):
    """Some models, and the cursor of the next page, empty after the last."""

    models: list[RegisteredModel]
    cursor: str = ""


class VersionPage(msgspec.Struct, frozen=True):
    """Some versions, and the cursor of the next page, empty after the last."""

    versions: list[ModelVersion]
    cursor: str = ""
