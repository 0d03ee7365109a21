"""`everloop sweep FILE:OBJECT`: searches for the best parameters of a function in a file."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import click
import msgspec

from everloop.cli import tracked
from everloop.cli.bars import progress
from everloop.cli.door import Command, this_door
from everloop.kernel.errors import Conflict, InvalidInput, NotFound
from everloop.kernel.progress import Progress
from everloop.pipelines.sweeps.entities import Budget, Direction, Search, Space, SweepDefinition


@click.command(cls=Command)
@click.argument("target", metavar="FILE:OBJECT")
@click.option("--name", default="", help="The sweep's name; the object's if not given.")
@click.option("--space", multiple=True, metavar="NAME=JSON", help='Such as x=\'{"type":"float","low":0,"high":1}\'.')
@click.option("--trials", default=100, show_default=True, help="So many trials; 0: no end.")
@click.option("--seconds", default=0.0, help="So many seconds of trials, shared among the workers.")
@click.option("--patience", default=0, help="End after so many trials without a better one.")
@click.option("--workers", default=1, show_default=True, help="So many processes.")
@click.option("--executor", default="", help="Where workers are: processes, ray.")
@click.option("--maximize", "directions", flag_value="maximize", help="The more the better.")
@click.option("--direction", "several", multiple=True, help="minimize or maximize, for each of several objectives.")
@click.option("--sampler", default="tpe", show_default=True, help="tpe, random, grid, cmaes, gp, nsga2, nsga3, qmc, …")
@click.option("--pruner", default="none", show_default=True, help="none, median, percentile, asha, hyperband, …")
@click.option("--seed", default=0, show_default=True)
@click.option("--retries", default=0, help="How often a trial is tried again whose process died.")
@click.option("--warm-start", multiple=True, metavar="SWEEP", help="An earlier sweep to learn from.")
@click.option("--resume", is_flag=True, help="Go on with the sweep of that name, if it is there.")
def sweep(
    target: str,
    name: str,
    space: tuple[str, ...],
    trials: int,
    seconds: float,
    patience: int,
    workers: int,
    executor: str,
    directions: str | None,
    several: tuple[str, ...],
    sampler: str,
    pruner: str,
    seed: int,
    retries: int,
    warm_start: tuple[str, ...],
    resume: bool,
) -> None:
    """Search for the best parameters of the function, step or pipeline OBJECT in FILE; each trial is a run.

    The function takes a trial of Optuna's, or with --space (or a mapping `SPACE` in the file) its parameters by name.
    """
    folder, module, object_name = _placed(target)
    declared = _declared(folder, module, object_name)
    kinds = cast(tuple[Direction, ...], several or (directions or "minimize",))
    objectives = ("objective",) if len(kinds) == 1 else tuple(f"objective_{place}" for place in range(len(kinds)))
    definition = SweepDefinition(
        target=f"{module}:{object_name}",
        folder=str(folder),
        space=_space(space) or declared,
        objectives=objectives,
        search=Search(sampler, {}, pruner, {}, seed),
        budget=Budget(trials, seconds, patience),
        workers=workers,
        executor=executor or ("local" if workers == 1 else "processes"),
        retries=retries,
    )
    called = name or object_name
    door = this_door()
    with progress(door, "trials") as bars:
        door.local.resources.ports.provide(Progress, lambda: bars)
        there = _is_there(called)
        if there and not resume:
            raise Conflict(f"There is a sweep {called!r}.", hint="Go on with it by --resume, or give another --name.")
        if not there:
            given = {"name": called, "definition": definition, "directions": kinds, "warm_start": warm_start}
            door.call("sweeps.create", given)
        made = door.call("sweeps.resume", {"name": called})
    if door.json:
        door.show(made)
        return
    door.show(tracked.sweep(made))
    click.echo()
    door.show(tracked.trials(door.call("sweeps.best", {"name": called})))


def _placed(target: str) -> tuple[Path, str, str]:
    file, separator, name = target.rpartition(":")
    path = Path(file)
    if not separator or not name:
        raise InvalidInput(f"{target!r} names no function.", hint="Write FILE:OBJECT, such as train.py:objective.")
    if not path.is_file():
        raise NotFound(f"There is no file {file}.", hint="Check the path.")
    return path.resolve().parent, path.stem, name


def _space(words: tuple[str, ...]) -> dict[str, Space]:
    found: dict[str, Space] = {}
    for word in words:
        name, _, text = word.partition("=")
        try:
            found[name] = msgspec.json.decode(text, type=Space)
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise InvalidInput(
                f"--space {word!r} does not make sense: {error}.",
                hint='Write x=\'{"type": "float", "low": 0, "high": 1}\', or type int or choice.',
            ) from None
    return found


def _declared(folder: Path, module: str, name: str) -> dict[str, Space]:
    """The mapping `SPACE` of a file, if it has one.

    Raises:
        NotFound: the file has nothing of that name to sweep.
    """
    from everloop.pipelines.project import load_module

    loaded = load_module(folder, module)
    if not hasattr(loaded, name.partition(".")[0]):
        callables = [key for key, value in vars(loaded).items() if callable(value) and not key.startswith("_")]
        hint = f"It has {', '.join(callables[:10])}." if callables else "Write a function that gives a number."
        raise NotFound(f"{module}.py has no {name!r}.", hint=hint)
    return dict(getattr(loaded, "SPACE", {}))


def _is_there(name: str) -> bool:
    try:
        this_door().call("sweeps.get", {"name": name})
    except NotFound:
        return False
    return True
