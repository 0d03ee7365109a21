"""The door on the command line: `everloop GROUP COMMAND`, and the commands that make up a day's work."""

from __future__ import annotations

import gc
import importlib
import keyword
import sys

import click

from everloop.app.areas import GROUPS
from everloop.cli.door import Door, everywhere, run
from everloop.cli.naming import Suggesting

SECTIONS: dict[str, dict[str, tuple[str, str]]] = {
    "Begin": {
        "init": ("project", "Start a project in this folder"),
        "demo": ("demo", "Live through a year of real flights, from data to the account"),
        "up": ("processes", "Start everything: server, controller, endpoints"),
        "doctor": ("installation", "Check the installation and say how to mend it"),
    },
    "The loop": {
        "add": ("project", "Keep a table, or a folder of files, as a new version of a dataset"),
        "import": ("importing", "Runs and models of other trackers: MLflow, Neptune, W&B, TensorBoard"),
        "data": ("data", "Folders of files under versions: status, diff, checkout, branch, merge, push, pull"),
        "apply": ("project", "Check and install what the project declares"),
        "run": ("project", "Run a pipeline"),
        "sweep": ("sweep", "Search for the best parameters of a function, step or pipeline"),
        "status": ("loop", "How the loops and endpoints are, and which data there is"),
        "trace": ("loop", "Where a prediction or a model came from, down to the bytes"),
        "simulate": ("loop", "Compare policies on history, before anything goes live"),
        "reproduce": ("loop", "Run a model's training again and compare hashes"),
        "rollback": ("loop", "Move a loop's model and traffic back"),
        "predict": ("predict", "Predict tables, datasets or streams, as many rows as there are"),
        "package": ("package", "Pack a model version to run elsewhere"),
        "size": ("deploy", "How many replicas, cores and dollars a rate takes, from a load test"),
        "manifest": ("deploy", "What deploys a model or an endpoint: Kubernetes, Helm, Terraform, systemd, …"),
    },
    "Processes": {
        "server": ("processes", "The HTTP doors: UI, REST, health"),
        "controller": ("processes", "What makes the loops turn"),
        "serve": ("processes", "An endpoint, or registered models, over HTTP"),
    },
    "This installation": {
        "settings": ("installation", "Every setting, its value and where it came from"),
        "completion": ("installation", "A script that completes commands in your shell"),
    },
}
"""The hand-made commands: the module of each, and its line in the help."""

_MODULES = {name: module for section in SECTIONS.values() for name, (module, _) in section.items()}


class Everloop(Suggesting):
    """All commands. None is imported before it is wanted, so that `--help` is quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every command and every group."""
        return [*_MODULES, *GROUPS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A command or group, imported now."""
        if cmd_name in GROUPS:
            from everloop.cli.usecases import group

            return group(cmd_name)
        if cmd_name not in _MODULES:
            return None
        module = importlib.import_module(f"everloop.cli.{_MODULES[cmd_name]}")
        found: click.Command = getattr(module, f"{cmd_name}_" if keyword.iskeyword(cmd_name) else cmd_name)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the sections from their tables, without importing the commands."""
        sections = {title: {name: line for name, (_, line) in lines.items()} for title, lines in SECTIONS.items()}
        sections["Areas"] = {name: line for name, (_, line) in GROUPS.items()}
        for title, lines in sections.items():
            with formatter.section(title):
                formatter.write_dl(list(lines.items()))


@click.group(cls=Everloop, params=[*everywhere()], context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="everloop", message="%(prog)s %(version)s")
def commands() -> None:
    """The whole life of a machine-learning model, closed into a loop.

    Every command has --help, answers JSON with --json, and has an exit code that says what went wrong: 2 wrong input,
    3 not found, 4 conflict, 5 not allowed, 6 refused, 7 your code raised, 8 corrupted, 9 unavailable, 10 misconfigured.
    """


def main() -> None:
    """Run the command line."""
    # What is made until a platform is open, some 130,000 objects, stays until the end: nobody looks through it.
    gc.set_threshold(200_000, 20, 50)
    code = run(commands, sys.argv[1:], Door())
    if "duckdb" not in sys.modules:  # It tells people of "leaks" where its objects are not looked through at the end.
        gc.freeze()  # The interpreter would look through everything once more before it ends.
    sys.exit(code)
