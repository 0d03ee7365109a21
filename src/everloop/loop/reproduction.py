"""Proof of reproducibility: an execution is run again in a fresh process, and every digest is compared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import zip_longest

import msgspec

from everloop.catalog.session import Session
from everloop.kernel.errors import NotFound
from everloop.loop.entities import ComparedStep, Difference, Replay, ReplayedStep, Reproduction
from everloop.loop.freshprocess import FreshProcess
from everloop.pipelines import service as pipelines
from everloop.pipelines.entities import Execution
from everloop.registry import service as models
from everloop.registry.entities import Model, ModelVersion
from everloop.store.entities import Digest
from everloop.tracking import service as tracking
from everloop.tracking.entities import CodeRevision, Environment, Run
from everloop.tracking.environment import THREADS, capture


def reproduce(session: Session, model: str, version: int = 0, alias: str = "") -> Reproduction:
    """Make a model version again, and compare it with what it was, step by step.

    The project's files are taken as they stand now; when that is another commit than the run's, it is listed among the
    differences of the environment.

    Raises:
        NotFound: there is no such version, or no execution of a pipeline made it.
    """
    with session.begin(write=False) as unit:
        found = models.version(unit, model, version, alias)
        execution = execution_of(unit, found)
        run = tracking.get(unit, execution.run)
        recorded = _environment_of(unit, run)
    answer = session.ports.get(FreshProcess).call(
        session.project, "loops.replay", {"execution": execution.id}, _variables(recorded)
    )
    return compared(found, execution, _flat(recorded, run.code), msgspec.json.decode(answer, type=Replay))


def replay(session: Session, execution: str) -> Replay:
    """Run an execution again here, without the memo."""
    again = pipelines.replay(session, execution)
    steps = tuple(ReplayedStep(step.name, step.output_digest) for step in again.steps)
    with session.begin(write=False) as unit:
        code = tracking.get(unit, again.run).code
    return Replay(steps, model_of(again).digest, _flat(capture(), code))


def compared(
    found: ModelVersion, execution: Execution, environment: Mapping[str, str], replayed: Replay
) -> Reproduction:
    """What the comparison of a version with its replay says."""
    pairs = zip_longest(execution.steps, replayed.steps)
    steps = tuple(
        ComparedStep((then or now).name, then.output_digest if then else "", now.digest if now else "")
        for then, now in pairs
    )
    differing = [step.name for step in steps if not step.equal]
    same = found.trained.digest == replayed.model_digest
    reason = "" if same else "The model's files differ. "
    reason += f"These steps gave something else: {', '.join(differing)}." if differing else ""
    return Reproduction(
        model=found.model,
        version=found.version,
        equal=same and bool(steps) and not differing,
        execution=execution.id,
        model_before=found.trained.digest,
        model_after=replayed.model_digest,
        steps=steps,
        environment=_differences(environment, replayed.environment),
        reason=reason.strip(),
    )


def execution_of(session: Session, found: ModelVersion) -> Execution:
    """The execution that made a model version.

    Raises:
        NotFound: none did, or it is not on record.
    """
    made = [one for one in pipelines.executions(session, limit=10_000) if found.run and one.run == found.run]
    if not made:
        raise NotFound(
            f"No execution of a pipeline is on record for {found.model}@{found.version}.",
            hint="Only what a pipeline trained can be made again: everloop run.",
        )
    return made[0]


def model_of(execution: Execution) -> Model:
    """The model that an execution gave.

    Raises:
        NotFound: it gave something else.
    """
    try:
        return msgspec.convert(execution.output, Model)
    except msgspec.ValidationError:
        raise NotFound(
            f"Execution {execution.id} of {execution.pipeline} gave no model.", hint="Its pipeline must return one."
        ) from None


def _environment_of(unit: Session, run: Run) -> Environment:
    return msgspec.json.decode(unit.store.get(Digest(run.environment)), type=Environment)


def _variables(recorded: Environment) -> dict[str, str | None]:
    """What must be set before a process starts: threads decide the last bits of sums, the hash seed orders sets."""
    threads = {name: recorded.threads.get(name) for name in THREADS}
    seed = None if recorded.hash_seed == "random" else recorded.hash_seed
    return {**threads, **recorded.variables, "PYTHONHASHSEED": seed}


def _flat(environment: Environment, code: CodeRevision) -> dict[str, str]:
    told = {
        "code": f"{code.revision} {code.diff_digest}".strip(),
        "python": environment.python,
        "platform": environment.platform,
        "processors": str(environment.cpu_count),
        "hash seed": environment.hash_seed,
    }
    return told | environment.threads | {f"package {name}": at for name, at in environment.packages.items()}


def _differences(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[Difference, ...]:
    names: Iterable[str] = sorted(before.keys() | after.keys())
    return tuple(
        Difference(name, before.get(name, ""), after.get(name, ""))
        for name in names
        if before.get(name) != after.get(name)
    )
