"""Samplers and pruners by name. Each trial has a generator of its own, made of the sweep's seed and its number.

So a sweep that was killed and goes on proposes what it would have, and no two workers propose the same.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import optuna
from blake3 import blake3
from optuna.distributions import BaseDistribution
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from everloop.kernel.errors import InvalidInput
from everloop.kernel.usecase import Json
from everloop.pipelines.sweeps.entities import Search, Space
from everloop.pipelines.sweeps.space import grid_of

Constraints = Callable[[FrozenTrial], Sequence[float]]
SAMPLERS: dict[str, Callable[..., BaseSampler]] = {
    "tpe": optuna.samplers.TPESampler,
    "random": optuna.samplers.RandomSampler,
    "grid": optuna.samplers.GridSampler,
    "brute_force": optuna.samplers.BruteForceSampler,
    "cmaes": optuna.samplers.CmaEsSampler,
    "gp": optuna.samplers.GPSampler,
    "nsga2": optuna.samplers.NSGAIISampler,
    "nsga3": optuna.samplers.NSGAIIISampler,
    "qmc": optuna.samplers.QMCSampler,
}
PRUNERS: dict[str, Callable[..., BasePruner]] = {
    "none": optuna.pruners.NopPruner,
    "median": optuna.pruners.MedianPruner,
    "percentile": optuna.pruners.PercentilePruner,
    "asha": optuna.pruners.SuccessiveHalvingPruner,
    "successive_halving": optuna.pruners.SuccessiveHalvingPruner,
    "hyperband": optuna.pruners.HyperbandPruner,
    "threshold": optuna.pruners.ThresholdPruner,
    "patient": optuna.pruners.PatientPruner,
    "wilcoxon": optuna.pruners.WilcoxonPruner,
}
_ONE_SEED = ("grid", "qmc")
"""These go through one sequence, which the seed makes: it is the same for all trials."""
_CONSTRAINED = ("tpe", "gp", "nsga2", "nsga3")
_MANY = ("tpe", "random", "grid", "brute_force", "gp", "nsga2", "nsga3", "qmc")


def sampler_of(
    search: Search, space: Mapping[str, Space], objectives: int = 1, constraints: Constraints | None = None
) -> BaseSampler:
    """The sampler that a search names, made anew for each trial.

    Raises:
        InvalidInput: there is none, it takes other options, or it is none for this space or these objectives.
    """
    name = search.sampler
    if name not in SAMPLERS:
        raise InvalidInput(f"There is no sampler {name[:80]!r}.", hint=f"There are {', '.join(SAMPLERS)}.")
    if objectives > 1 and name not in _MANY:
        raise InvalidInput(f"Sampler {name!r} has one objective.", hint=f"For {objectives}: {', '.join(_MANY)}.")
    options: dict[str, Any] = dict(search.sampler_options)
    if name == "grid":
        options["search_space"] = grid_of(space)
    if constraints is not None:
        if name not in _CONSTRAINED:
            raise InvalidInput(f"Sampler {name!r} knows no constraints.", hint=f"These do: {', '.join(_CONSTRAINED)}.")
        options["constraints_func"] = constraints
    if "seed" in options:
        raise InvalidInput("The seed is the search's, no option of the sampler.", hint="Give seed=….")
    made = Seeded(SAMPLERS[name], options, search.seed, name in _ONE_SEED)
    try:
        made.fresh(0)
    except (TypeError, ValueError, ModuleNotFoundError) as error:
        raise InvalidInput(f"Sampler {name!r} cannot be made: {error}.", hint="See its options in Optuna.") from None
    return made


def pruner_of(search: Search) -> BasePruner:
    """The pruner that a search names.

    Raises:
        InvalidInput: there is none, or it takes other options.
    """
    options: dict[str, Json] = dict(search.pruner_options)
    return _pruner(search.pruner, options)


def _pruner(name: str, options: dict[str, Json]) -> BasePruner:
    if name not in PRUNERS:
        raise InvalidInput(f"There is no pruner {name[:80]!r}.", hint=f"There are {', '.join(PRUNERS)}.")
    made: dict[str, Any] = dict(options)
    if name == "percentile":
        made.setdefault("percentile", 25.0)
    if name == "patient":
        made["wrapped_pruner"] = _pruner(str(made.pop("pruner", "median")), dict(made.pop("pruner_options", {})))
        made.setdefault("patience", 5)
    try:
        with _quiet():
            return PRUNERS[name](**made)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"Pruner {name!r} cannot be made: {error}.", hint="See its options in Optuna.") from None


class Seeded(BaseSampler):
    """A sampler that is made anew for each trial, seeded by the trial's number."""

    def __init__(self, kind: Callable[..., BaseSampler], options: Mapping[str, Any], seed: int, one_seed: bool) -> None:
        self._kind = kind
        self._options = options
        self._seed = seed
        self._one_seed = one_seed
        self._made: dict[int, BaseSampler] = {}

    def fresh(self, number: int) -> BaseSampler:
        """The sampler for a trial."""
        with _quiet():
            return self._kind(**self._options, seed=self._seed if self._one_seed else seed_of(self._seed, number))

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Make the sampler of a trial."""
        self._of(trial).before_trial(study, trial)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """The parameters that are proposed together."""
        return self._of(trial).infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Values that are proposed together."""
        with _quiet():
            return self._of(trial).sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """A value that is proposed by itself."""
        with _quiet():
            return self._of(trial).sample_independent(study, trial, param_name, param_distribution)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """Tell the sampler of a trial what came of it."""
        self._of(trial).after_trial(study, trial, state, values)
        self._made.pop(trial.number, None)

    def _of(self, trial: FrozenTrial) -> BaseSampler:
        if trial.number not in self._made:
            self._made[trial.number] = self.fresh(trial.number)
        return self._made[trial.number]


def seed_of(seed: int, number: int) -> int:
    """The seed of a trial's generator: 31 bits."""
    return int.from_bytes(blake3(f"{seed}/{number}".encode()).digest(length=4), "little") >> 1


class _quiet(warnings.catch_warnings):
    """Without Optuna's warnings that something is new, or is asked one by one."""

    def __enter__(self) -> Any:
        found = super().__enter__()
        for kind in (optuna.exceptions.ExperimentalWarning, FutureWarning):
            warnings.simplefilter("ignore", kind)
        return found
