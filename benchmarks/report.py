"""How figures are told: as a table on the screen, as JSON, and in `RESULTS.md`."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import msgspec

from benchmarks.harness import Figure

RESULTS = Path(__file__).parent / "RESULTS.md"
Figures = Mapping[str, Sequence[Figure]]


class Machine(msgspec.Struct, frozen=True):
    """Where and when the figures were taken; `busy` is how many others wanted the processor when it began."""

    date: str
    revision: str
    cores: int
    memory_gb: float
    system: str
    python: str
    busy: float

    @classmethod
    def here(cls, date: str) -> Machine:
        """This machine, with the date that was handed in, else that of the newest commit."""
        return cls(
            date=date or _git("log", "-1", "--format=%cs"),
            revision=_git("rev-parse", "--short", "HEAD"),
            cores=os.cpu_count() or 1,
            memory_gb=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
            system=f"{platform.system()} {platform.machine()}",
            python=platform.python_version(),
            busy=round(os.getloadavg()[0], 1),
        )


def table(figures: Sequence[Figure]) -> str:
    """The figures of a subject as a table in Markdown, ratios first."""
    head = ("ratio", "what", "unit", "ours", "beside", "theirs", "wall: ours", "theirs")
    rows = [head, tuple("-" * len(name) for name in head), *(_row(figure) for figure in figures)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(head))]
    lines = (" | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(f"| {line} |" for line in lines)


def as_json(machine: Machine, figures: Figures) -> str:
    """Everything as one JSON object."""
    told = {name: [msgspec.to_builtins(one) | {"ratio": one.ratio} for one in of] for name, of in figures.items()}
    return msgspec.json.format(msgspec.json.encode({"machine": machine, "figures": told})).decode()


def write(machine: Machine, figures: Figures, summaries: Mapping[str, str], remark: str) -> None:
    """Put sections into `RESULTS.md`; those of what did not run stay as they are, and what others wrote stands last."""
    kept = _sections(RESULTS.read_text()) if RESULTS.exists() else {}
    where = f"{machine.date}, revision {machine.revision}, load {machine.busy} at the start{remark and f'; {remark}'}"
    fresh = {
        name: f"{summaries[name]}\n\n`python -m benchmarks {name}` — {where}.\n\n{table(of)}\n"
        for name, of in figures.items()
    }
    sections = kept | fresh
    ordered = [*(name for name in summaries if name in sections), *(name for name in kept if name not in summaries)]
    body = "\n".join(f"## {name}\n\n{sections[name]}" for name in ordered)
    RESULTS.write_text(f"{_head(machine)}\n{body}")


def _head(machine: Machine) -> str:
    libraries = ", ".join(
        f"{name} {version(name)}" for name in ("numpy", "pyarrow", "duckdb", "lightgbm", "sqlalchemy")
    )
    return f"""# Benchmarks

Everything is a cost: lower is better, and a ratio below 1 means that we are cheaper than what stands beside. Figures
are medians of CPU time; the two sides take turns in one run. Beside stands the physical limit (the bare system call,
the bare engine) or a plain library on the same work, so a ratio above 1 is the price of what the platform adds: checks,
durability, the ledger. Written by `python -m benchmarks --write`.

{machine.cores} cores, {machine.memory_gb} GB, {machine.system}, Python {machine.python}, {libraries}.
"""


def _row(figure: Figure) -> tuple[str, ...]:
    return (
        "" if figure.ratio is None else f"{figure.ratio:.2f}",
        figure.what,
        figure.unit,
        _number(figure.ours),
        figure.peer,
        _number(figure.theirs),
        _number(figure.our_wall),
        _number(figure.their_wall),
    )


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _sections(text: str) -> dict[str, str]:
    parts = re.split(r"^## (\w+)\n\n", text, flags=re.MULTILINE)[1:]
    return {name: f"{body.rstrip()}\n" for name, body in zip(parts[::2], parts[1::2], strict=True)}


def _git(*arguments: str) -> str:
    answer = subprocess.run(["git", *arguments], capture_output=True, text=True, cwd=RESULTS.parent, check=False)
    return answer.stdout.strip() or "unknown"


def say(text: str) -> None:
    """A line about the progress, which is no result."""
    print(text, file=sys.stderr, flush=True)
