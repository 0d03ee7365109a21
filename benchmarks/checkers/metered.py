"""What a checker is asked, and how its cost is taken; nothing but the standard library, since peers import it too."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Suite = list[dict[str, Any]]


def metered(check: Callable[[str, Suite], list[int]]) -> None:
    """Run a checker on the table and the suite that the command line names; print its cost and what it found."""
    table, suite = sys.argv[1], json.loads(Path(sys.argv[2]).read_text())
    cpu, wall = time.process_time(), time.perf_counter()
    failures = check(table, suite)
    spent = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps({**spent, "gigabytes": peak, "failures": failures}))
