"""What runs used and what came out of them, as MLflow's clients tell it: datasets and logged models."""

from __future__ import annotations

import msgspec
from sqlalchemy import select

from everloop.kernel.errors import InvalidInput
from everloop.kernel.usecase import Json
from everloop.server.mlflow import experiments, inputs, loggedmodels, runs
from everloop.server.mlflow.endpoint import Answer, Caller, endpoint
from everloop.tracking import loggedmodels as tracking
from everloop.tracking.entities import Logged
from everloop.tracking.tables import runs as run_table
from everloop.tracking.writes import write

_MOST = 1000
_MOST_EXPERIMENTS = 20
_MOST_SUMMARIES = 1000
_CONTEXT = "mlflow.data.context"


class Inputs(runs.ById, frozen=True):
    """What a run used."""

    datasets: list[inputs.DatasetInput] = []
    models: list[loggedmodels.ById] = []


class Output(msgspec.Struct, frozen=True):
    """A model that came out of a run, at one of its steps."""

    model_id: str
    step: int = 0


class Outputs(runs.ById, frozen=True):
    """The models that came out of a run."""

    models: list[Output] = []


class Search(msgspec.Struct, frozen=True):
    """The experiments whose datasets are wanted."""

    experiment_ids: list[str] = []


@endpoint("POST runs/log-inputs")
def log_inputs(caller: Caller, request: Inputs) -> Answer:
    """Note the datasets and logged models that a run used."""
    if len(request.datasets) + len(request.models) > _MOST:
        raise InvalidInput(f"A run takes at most {_MOST} inputs at once.", hint="Split them into several requests.")
    id = runs.id_of(request)
    with caller.unit("tracking:write") as unit:
        row = runs.active_row(unit, id)
        used = inputs.fresh(unit, row.inputs, request.datasets)
        used += [unit.urn("logged_model", loggedmodels.existing(unit, it.model_id).id) for it in request.models]
        if used:
            write(unit, Logged(id, inputs=tuple(used), amend=True))
    return {}


@endpoint("POST runs/outputs")
def log_outputs(caller: Caller, request: Outputs) -> Answer:
    """Say which logged models came out of a run."""
    if len(request.models) > _MOST:
        raise InvalidInput(f"A run takes at most {_MOST} outputs at once.", hint="Split them into several requests.")
    with caller.unit("tracking:write") as unit:
        run = runs.active_row(unit, runs.id_of(request)).id
        steps = {loggedmodels.existing(unit, it.model_id).id: it.step for it in request.models}
        tracking.add_outputs(unit, run, steps)
    return {}


@endpoint("POST experiments/search-datasets")
def search_datasets(caller: Caller, request: Search) -> Answer:
    """The datasets that the runs of some experiments used, and for what."""
    name = "SearchDatasets request"
    if not request.experiment_ids:
        raise InvalidInput(f"{name} must specify at least one experiment_id.")
    count = len(request.experiment_ids)
    if count > _MOST_EXPERIMENTS:
        raise InvalidInput(
            f"{name} cannot specify more than {_MOST_EXPERIMENTS} experiment_ids. Received {count} experiment_ids."
        )
    found: dict[tuple[str, ...], Json] = {}
    with caller.unit("tracking:read", write=False) as unit:
        groups = {group.name: id for id in request.experiment_ids if (group := experiments.first(unit, id))}
        here = run_table.c.project == unit.project, run_table.c.experiment.in_(groups)
        used = unit.connection.execute(select(run_table.c.experiment, run_table.c.inputs).where(*here).distinct())
        for experiment, urns in used:
            for it in inputs.described(unit, urns):
                context = next((tag.value for tag in it.tags if tag.key == _CONTEXT), "")
                told = {"experiment_id": groups[experiment], "name": it.dataset.name, "digest": it.dataset.digest}
                found[*told.values(), context] = told | ({"context": context} if context else {})
    return {"dataset_summaries": list(found.values())[:_MOST_SUMMARIES]}
