"""What is recorded of a training by itself, and where."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """What `everloop.autolog` was told."""

    experiment: str = "default"
    log_models: bool = True
    log_datasets: bool = True
    log_plots: bool = True
    silent: bool = False
