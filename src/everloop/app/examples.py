"""The example projects: beside the source in a checkout, inside of the package where it is installed."""

from __future__ import annotations

from pathlib import Path

from everloop.kernel.errors import Misconfigured

_PACKAGE = Path(__file__).parents[1]


def example_folder(name: str) -> Path:
    """Where an example project lies: `flights` is the demo's, `parcels` what `everloop init --example` starts with.

    Raises:
        Misconfigured: it was not installed.
    """
    for root in (_PACKAGE.parents[1], _PACKAGE):
        if (root / "examples" / name).is_dir():
            return root / "examples" / name
    raise Misconfigured(f"The example project {name} is not installed.", hint="Run this from a checkout, or reinstall.")
