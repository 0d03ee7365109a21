"""The commands of a project: `init`, `add`, `apply`, `run`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from everloop.app.examples import example_folder
from everloop.cli.data import add_folder
from everloop.cli.door import Command, this_door
from everloop.kernel.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from everloop.datasets.quality.suites.entities import AppliedSuite

_SETTINGS = """\
# The settings of this project. Every key is also a variable: EVERLOOP_PROJECT, EVERLOOP_MODULE, …
project = "{name}"
module = "{module}.project"
"""
_PROJECT = '''\
"""What `everloop apply` installs: list suites, feature services, pipelines and loops here."""

from __future__ import annotations

import everloop as el


@el.step
def count(text: str) -> int:
    """How many words a text has."""
    return len(text.split())


@el.pipeline
def hello(text: str = "the loop is closed") -> int:
    """A first pipeline: run it twice, and the second run executes nothing."""
    return count(text)
'''
_NEXT = "python data.py, everloop add parcels.csv, everloop add depots.csv, everloop apply, everloop up"


@click.command(cls=Command)
@click.argument("folder", default=".", type=click.Path(file_okay=False, path_type=Path))
@click.option("--example", is_flag=True, help="With a whole small loop in it, and a script that makes its data.")
def init(folder: Path, example: bool) -> None:
    """Start a project: settings, a module with a first pipeline, and what git should leave alone."""
    door = this_door()
    name = re.sub(r"[^A-Za-z0-9]+", "-", folder.resolve().name).strip("-") or "project"
    module = re.sub(r"^(?=\d)", "project_", name.lower().replace("-", "_"))
    texts = {
        "everloop.toml": _SETTINGS.format(name=name, module=module),
        f"{module}/__init__.py": '"""A project of Everloop."""\n',
        f"{module}/project.py": _example("project.py") if example else _PROJECT,
        ".gitignore": ".everloop/\n",
    } | ({"data.py": _example("data.py")} if example else {})
    made = [path for path, text in texts.items() if _write(folder / path, text)]
    if door.json:
        door.show({"folder": str(folder), "made": made})
        return
    for path in made:
        click.echo(f"made {path}")
    steps = _NEXT if example else "everloop apply, then everloop run hello"
    click.echo(f"Next: {'' if folder == Path() else f'cd {folder}, then '}{steps}.")


@click.command(cls=Command)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--name", help="The dataset's name; the file's if not given.")
@click.option("--note", default="", help="What is new in it.")
@click.option("--branch", default="", help="The branch that it goes to; main, or the one that the folder is on.")
@click.option("--evolve", type=click.Choice(["compatible", "any"]), help="How its columns may change.")
@click.option(
    "--on-failure",
    type=click.Choice(["refuse", "quarantine", "keep"]),
    help="What becomes of a table with rows that fail its checks; as its suite says, if not given.",
)
def add(file: Path, name: str | None, note: str, branch: str, evolve: str | None, on_failure: str | None) -> None:
    """Keep a table (CSV, lines of JSON, Parquet, Arrow), or a folder of files, as a new version of a dataset.

    What the newest version holds already gives that version. Folders have more commands: everloop data --help.
    """
    door = this_door()
    of_tables = {"evolve": evolve or "compatible", "on_failure": on_failure or ""}
    if file.is_dir():
        if evolve or on_failure:
            raise InvalidInput(f"{file} is a folder: it has no rows.", hint="Leave out --evolve and --on-failure.")
        add_folder(file, name or "", note, branch)
        return
    from everloop.datasets.formats import format_of
    from everloop.datasets.workspace.workspace import default_name

    format = format_of(file.name)
    try:
        digest = door.put_file(file)
    except OSError as error:
        raise NotFound(f"{file} cannot be read ({error.strerror}).", hint="Check the path.") from None
    plain = Path(file.name.removesuffix(".gz").removesuffix(".zst"))
    arguments = {"name": name or default_name(Path(plain.stem)), "digest": digest, "format": format}
    made = door.call("datasets.commit", arguments | of_tables | {"note": note, "branch": branch or "main"})
    door.show(made)
    older = [each.version for each in door.call("datasets.log", {"name": made.dataset}) if each.digest == made.digest]
    if min(older, default=made.version) < made.version:
        door.say(f"Version {made.version} has the content that version {min(older)} had.")


@click.command(cls=Command)
def apply() -> None:
    """Check what the project's module and its everloop.toml declare, and put it in force: all of it, or nothing."""
    from everloop.app import project

    door = this_door()
    values = door.settings.values
    keeps = values.retention or any(policy.declared for policy in door.call("retention.list", {}))
    only_settings = keeps and not values.module
    declared = project.NOTHING if only_settings else project.collect(door.settings.folder, values.module)
    applied = project.apply(door.local, declared)
    if door.json:
        door.show(applied)
        return
    for title, names in (
        ("suite", [_suite(suite) for suite in applied.suites]),
        ("feature service", [f"{service.name}@{service.version}" for service in applied.services]),
        ("pipeline", [pipeline.name for pipeline in applied.pipelines]),
        ("endpoint", [f"{endpoint.name}, {endpoint.status}" for endpoint in applied.endpoints]),
        ("loop", [f"{loop.name}, revision {loop.revision}" for loop in applied.loops]),
        ("retention policy", [policy.name for policy in applied.retention if policy.declared]),
    ):
        for name in names:
            click.echo(f"{title} {name}")


@click.command(cls=Command)
@click.argument("pipeline")
@click.argument("arguments", nargs=-1, metavar="[KEY=VALUE]…")
def run(pipeline: str, arguments: tuple[str, ...]) -> None:
    """Run a pipeline. Values are JSON where they can be, and text otherwise: until=2013-03-01T00:00:00Z days=75."""
    door = this_door()
    door.show(door.call("pipelines.run", {"name": pipeline, "arguments": dict(map(_argument, arguments))}))


def _suite(suite: AppliedSuite) -> str:
    gates = f", gates {', '.join(suite.gates)}" if suite.gates else ""
    return f"{suite.dataset}, {suite.expectations} expectations{gates}"


def _argument(text: str) -> tuple[str, object]:
    key, separator, value = text.partition("=")
    if not separator or not key:
        raise InvalidInput(f"{text!r} is no argument of a pipeline.", hint="Write KEY=VALUE.")
    try:
        return key, msgspec.json.decode(value)
    except msgspec.DecodeError:
        return key, value


def _example(name: str) -> str:
    return (example_folder("parcels") / name).read_text()


def _write(path: Path, text: str) -> bool:
    if path.exists():
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return True
