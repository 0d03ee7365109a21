"""`python -m benchmarks [NAME…] [--json] [--write] [--date DATE] [--remark TEXT]`."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable, Sequence
from types import ModuleType

from benchmarks import report
from benchmarks.harness import Figure

SUBJECTS = (
    "store",
    "storegrowth",
    "data_checks",
    "versions",
    "largefile",
    "remotes",
    "data_tables",
    "ledger",
    "calls",
    "pointintime",
    "online",
    "memo",
    "tracking",
    "tracking_search",
    "autolog",
    "sweeps",
    "tracking_peers",
    "tracking_client",
    "tracking_artifacts",
    "serving",
    "serving_peers",
    "serving_features",
    "serving_overload",
    "serving_swap",
    "packages",
    "trees",
    "batch",
    "inferencelog",
    "monitoring",
    "sequential",
    "demo",
)
LONG = (
    *("storegrowth", "data_checks", "data_tables", "versions", "largefile", "remotes", "demo"),
    *(
        "tracking_peers",
        "autolog",
        "tracking_client",
        "tracking_artifacts",
        "serving_peers",
        "serving_overload",
        "batch",
        "packages",
    ),
)
"""These run only when they are named."""
MODULES = {
    "tracking": "tracking.paths",
    "tracking_peers": "tracking.peers",
    "tracking_client": "mlflowclient",
    "tracking_artifacts": "artifacts",
    "serving": "serving.endpoint",
    "serving_peers": "serving.peers",
    "serving_features": "serving.features",
    "serving_overload": "serving.overload",
    "serving_swap": "serving.swap",
}
"""Where a subject is that is no module of its name."""


def main() -> None:
    """Run the subjects that are named, or all that do not take minutes."""
    asked = _arguments()
    names = asked.names or [name for name in SUBJECTS if name not in LONG]
    machine = report.Machine.here(asked.date)
    figures = {name: _run(name) for name in names}
    if asked.write:
        report.write(machine, figures, {name: _summary(name) for name in SUBJECTS}, asked.remark)
    print(report.as_json(machine, figures) if asked.json else "\n\n".join(_told(*one) for one in figures.items()))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="What our paths cost, side by side.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(SUBJECTS))
    parser.add_argument("--json", action="store_true", help="print the figures as data")
    parser.add_argument("--write", action="store_true", help="put them into benchmarks/RESULTS.md")
    parser.add_argument("--date", default="", help="the date to write down (default: the newest commit's)")
    parser.add_argument("--remark", default="", help="what to say of the machine, such as: it was busy")
    return parser.parse_args()


def _run(name: str) -> Sequence[Figure]:
    report.say(f"{name} …")
    run: Callable[[], Sequence[Figure]] = _module(name).run
    return run()


def _summary(name: str) -> str:
    """What a subject's module says it measures."""
    return (_module(name).__doc__ or "").strip()


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"benchmarks.{MODULES.get(name, name)}")


def _told(name: str, figures: Sequence[Figure]) -> str:
    return f"{name}\n{report.table(figures)}"


if __name__ == "__main__":
    main()
