"""`everloop.autolog(…)`: turns the recording of libraries on and off."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable, Sequence
from typing import cast

from everloop.kernel.errors import InvalidInput
from everloop.sdk.autolog.imports import watch
from everloop.sdk.autolog.options import Options
from everloop.sdk.autolog.patches import Patches
from everloop.sdk.autolog.training import guarded, turn_off, turn_on

LIBRARIES: dict[str, tuple[tuple[str, str], ...]] = {
    "sklearn": (
        ("sklearn.base", "patch"),
        ("sklearn.metrics", "patch_metrics"),
        ("sklearn.utils.parallel", "patch_workers"),
    ),
    "xgboost": (("xgboost", "patch"),),
    "lightgbm": (("lightgbm", "patch"),),
    "keras": (("keras", "patch"),),
    "lightning": (("lightning.pytorch", "patch"), ("pytorch_lightning", "patch_alone")),
    "optuna": (("optuna.study", "patch"),),
    "pytorch": (("torch.utils.tensorboard", "patch"),),
}
"""Of each library the modules that are waited for, and the function of ours that replaces what is in them."""

_on: dict[str, list[Patches]] = {}
_lock = threading.Lock()


def autolog(
    libraries: str | Sequence[str] | None = None,
    *,
    disable: bool = False,
    experiment: str = "default",
    log_models: bool = True,
    log_datasets: bool = True,
    log_plots: bool = True,
    silent: bool = False,
) -> None:
    """Record what libraries train from now on, without a change to the code that calls them.

    All that are known, or those that are named: `everloop.autolog("sklearn")`. A training goes to the active run, or
    to one of its own in `experiment`; later ones inside of the same run become children of it. Nothing is imported by
    this: a library is prepared when it is. `disable=True` puts everything back.

    Raises:
        InvalidInput: a library is not known.
    """
    names = list(LIBRARIES) if libraries is None else [libraries] if isinstance(libraries, str) else list(libraries)
    unknown = sorted(set(names) - LIBRARIES.keys())
    if unknown:
        raise InvalidInput(
            f"{', '.join(unknown)} cannot be recorded by itself.", hint=f"There are: {', '.join(LIBRARIES)}."
        )
    with _lock:
        for name in names:
            if disable:
                _turn_off(name)
            else:
                turn_on(name, Options(experiment, log_models, log_datasets, log_plots, silent))
                _prepare(name)


def _prepare(name: str) -> None:
    if name in _on:
        return
    patches = _on[name] = []
    for module, function in LIBRARIES[name]:
        made = Patches()
        patches.append(made)
        watch.when(module, _preparation(name, function, made))


def _preparation(name: str, function: str, patches: Patches) -> Callable[[], None]:
    def prepare() -> None:
        if all(patches is not known for known in _on.get(name, ())):
            return  # It was turned off while it waited.
        with guarded(name):
            ours = importlib.import_module(f"everloop.sdk.autolog.{name}")
            cast(Callable[[Patches], None], getattr(ours, function))(patches)

    return prepare


def _turn_off(name: str) -> None:
    turn_off(name)
    for patches in _on.pop(name, []):
        patches.undo()
