"""What a run says that it used, as URNs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from everloop.kernel.errors import InvalidInput
from everloop.kernel.ids import Urn, parse_urn

if TYPE_CHECKING:
    from everloop.datasets.entities import Snapshot
    from everloop.features.entities import PinnedFeatures


def urn_of(used: Snapshot | PinnedFeatures | str, project: str) -> str:
    """The URN of a snapshot or of pinned features in a project, or of what a text names: a URN, or `dataset@version`.

    Raises:
        InvalidInput: it is none of those.
    """
    if isinstance(used, str):
        dataset, at, version = used.partition("@")
        if ":" not in used and at and version:
            return str(Urn("dataset", project, dataset, version))
        return str(parse_urn(used))
    dataset = getattr(used, "dataset", "")
    service = getattr(used, "service", "")
    if not (dataset or service):
        raise InvalidInput(f"{type(used).__name__} is nothing that a run can use.", hint="Use a snapshot or a URN.")
    return str(Urn("dataset" if dataset else "feature_service", project, dataset or service, str(used.version)))
