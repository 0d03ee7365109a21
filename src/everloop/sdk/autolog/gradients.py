"""Gradients and parameters of a PyTorch module while it is trained: sizes often, distributions ever more seldom."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from everloop.sdk.recording.run import Run

_BINS = 64
_TOLD = (int, float, str, bool, tuple, list)


class Watched:
    """A module that is watched after each step of its optimizer, until the run ends or `stop` is called."""

    def __init__(self, run: Run, module: Any, every: int) -> None:
        self._run = run
        self._every = every
        self._named = dict(module.named_parameters())
        self._own = {id(parameter) for parameter in self._named.values()}
        self._steps = 0
        self._next_histogram = every
        _hook()
        _watching.append(self)

    def stop(self) -> None:
        """Watch no more."""
        with suppress(ValueError):  # It was stopped before.
            _watching.remove(self)

    def step(self, optimizer: Any) -> None:
        """Take a step of an optimizer, if it is one of the module's."""
        if self._run.has_ended:
            return self.stop()
        if not any(id(each) in self._own for group in optimizer.param_groups for each in group["params"]):
            return None
        self._steps += 1
        if self._steps == 1:
            self._run.set_tags({f"optimizer_{key}": value for key, value in hyperparameters(optimizer).items()})
        if self._steps % self._every == 0:
            self._log(optimizer)
        return None

    def _log(self, optimizer: Any) -> None:
        for at, group in enumerate(optimizer.param_groups):
            self._run.log_metric("lr" if at == 0 else f"lr/{at}", float(group["lr"]), self._steps)
        for kind, tensors in (("gradients", self._gradients()), ("parameters", self._named)):
            for name, tensor in tensors.items():
                values = tensor.detach().float()
                self._run.log_metric(f"{kind}/{name}/norm", float(values.norm()), self._steps)
                if values.numel() > 1:
                    self._run.log_metric(f"{kind}/{name}/std", float(values.std()), self._steps)
        if self._steps >= self._next_histogram:
            self._next_histogram = self._steps * 2
            self._keep_histograms()

    def _keep_histograms(self) -> None:
        content = {
            kind: {name: histogram(tensor) for name, tensor in tensors.items()}
            for kind, tensors in (("gradients", self._gradients()), ("parameters", self._named))
        }
        self._run.log_dict(content, f"histograms/{self._steps:012d}.json")

    def _gradients(self) -> Mapping[str, Any]:
        return {name: each.grad for name, each in self._named.items() if each.grad is not None}


_watching: list[Watched] = []


@cache
def _hook() -> None:
    """Be told of each step of every optimizer. PyTorch iterates over its hooks, so ours is never taken away again."""
    from torch.optim.optimizer import register_optimizer_step_post_hook

    def told(optimizer: Any, arguments: object, named: object) -> None:
        for watched in tuple(_watching):
            watched.step(optimizer)

    register_optimizer_step_post_hook(told)


def histogram(tensor: Any) -> dict[str, Any]:
    """How the finite values of a tensor are spread, and how many are not finite."""
    values = tensor.detach().float().cpu().flatten()
    finite = values[values.isfinite()]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 0.0)
    counts = finite.histc(_BINS, low, high).int().tolist() if high > low else [len(finite)]
    return {"low": low, "high": high, "counts": counts, "not_finite": len(values) - len(finite)}


def hyperparameters(optimizer: Any) -> dict[str, Any]:
    """What an optimizer of PyTorch was told: of its first group, but its parameters."""
    group = optimizer.param_groups[0]
    told = {key: value for key, value in group.items() if key != "params" and isinstance(value, _TOLD)}
    return {"class": type(optimizer).__name__, **told}
