"""Environment capture: what a run ran in, without anything secret."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping
from functools import cache
from importlib.metadata import distributions

from everloop.tracking.entities import Environment

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
"""Variables that decide how many threads compute, and with that the last bits of sums."""
ALLOWED = ("LANG", "LC_ALL", "TZ", "PYTHONHASHSEED", "PYTHONOPTIMIZE", "CUDA_VISIBLE_DEVICES", "SOURCE_DATE_EPOCH")
"""The only other variables that are kept: an allow-list, so that no secret is ever among them."""


def capture(variables: Mapping[str, str] | None = None) -> Environment:
    """The environment of this process. The list of packages is read once, in about 100 ms, and kept."""
    found = os.environ if variables is None else variables
    return Environment(
        python=platform.python_version(),
        platform=f"{sys.platform}-{platform.machine()}",
        cpu_count=os.cpu_count() or 1,
        packages=dict(packages()),
        threads={name: found[name] for name in THREADS if name in found},
        hash_seed=found.get("PYTHONHASHSEED", "random"),
        variables={name: found[name] for name in ALLOWED if name in found},
    )


@cache
def packages() -> Mapping[str, str]:
    """Every installed distribution with its version."""
    found = ((distribution.name, distribution.version) for distribution in distributions())
    return dict(sorted((name, version) for name, version in found if name))
