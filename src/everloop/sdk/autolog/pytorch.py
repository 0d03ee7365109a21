"""PyTorch: a training loop is the user's own; what it tells TensorBoard is told to the active run too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from everloop.kernel.errors import Conflict, NotFound
from everloop.sdk.autolog.patches import Call, Patches
from everloop.sdk.autolog.training import guarded, options_of
from everloop.tracking import active

LIBRARY = "pytorch"


def patch(patches: Patches) -> None:
    """Log what writers of TensorBoard are handed."""
    from torch.utils.tensorboard.writer import SummaryWriter

    patches.wrap(SummaryWriter, "add_scalar", _add_scalar)
    patches.wrap(SummaryWriter, "add_scalars", _add_scalars)


def _add_scalar(original: Call, arguments: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
    result = original(*arguments, **named)
    with guarded(LIBRARY):
        tag, value, step = _given(arguments, named, "tag", "scalar_value")
        _log({tag: value}, step)
    return result


def _add_scalars(original: Call, arguments: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
    result = original(*arguments, **named)
    with guarded(LIBRARY):
        tag, values, step = _given(arguments, named, "main_tag", "tag_scalar_dict")
        _log({f"{tag}/{key}": value for key, value in values.items()}, step)
    return result


def _given(arguments: tuple[Any, ...], named: Mapping[str, Any], *names: str) -> tuple[Any, Any, Any]:
    known = dict(zip((*names, "global_step"), arguments[1:], strict=False)) | dict(named)
    return known[names[0]], known[names[1]], known.get("global_step")


def _log(values: Mapping[str, Any], step: Any) -> None:
    if options_of(LIBRARY) is None:
        return
    try:
        recorder = active.recorder()
    except (NotFound, Conflict):
        return
    for key, value in values.items():
        number = float(value.detach() if hasattr(value, "detach") else value)
        recorder.log_metric(key, number, None if step is None else int(step))
