"""Everloop in notebooks: `%load_ext everloop` gives `%everloop`, `%%everloop_run`, and runs that show what they are."""

from __future__ import annotations

import shlex
from typing import Any

from everloop.kernel.errors import InvalidInput
from everloop.sdk.recording import show
from everloop.sdk.recording.run import Run
from everloop.sdk.recording.start import Recorded, run
from everloop.tracking import active
from everloop.tracking.entities import Run as KnownRun


def load(shell: Any) -> None:
    """Give the magics to an IPython shell (whose types are not ours to name)."""
    shell.register_magic_function(lambda line: line_magic(line), "line", "everloop")
    shell.register_magic_function(lambda line, cell: cell_magic(shell, line, cell), "cell", "everloop_run")
    html = shell.display_formatter.formatters["text/html"]
    html.for_type(KnownRun, show.of_run)
    html.for_type(list, show.of_runs)


def line_magic(line: str) -> Run | None:
    """`%everloop` shows the open run; `%everloop start [EXPERIMENT] [NAME] [KEY=VALUE…]` begins one, `finish` ends it.

    Raises:
        InvalidInput: it is none of those.
    """
    verb, *words = shlex.split(line) or [""]
    if verb == "start":
        return _declared(words).start()
    open_runs = [found for found in active.open_runs() if isinstance(found, Run)]
    newest = open_runs[-1] if open_runs else None
    if verb == "finish" and newest is not None:
        newest.finish()
    elif verb not in ("", "finish"):
        raise InvalidInput(f"%everloop {verb[:40]} is nothing.", hint="There are: start, finish.")
    return newest


def cell_magic(shell: Any, line: str, cell: str) -> Run:
    """`%%everloop_run [EXPERIMENT] [NAME] [KEY=VALUE…]` records what the cell does as a run."""
    with _declared(shlex.split(line)) as recorded:
        shell.run_cell(cell).raise_error()
    return recorded


def _declared(words: list[str]) -> Recorded:
    parameters = dict(word.partition("=")[::2] for word in words if "=" in word)
    names = [word for word in words if "=" not in word]
    if len(names) > 2:
        raise InvalidInput(f"{names[2]!r} is one word too many.", hint="EXPERIMENT NAME KEY=VALUE…")
    experiment, name = ([*names, "", ""])[:2]
    return run(experiment or "default", name, parameters)
