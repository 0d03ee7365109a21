"""Experiments and runs that are renamed, tagged, put out of sight and brought back; models that clients logged."""

from __future__ import annotations

import msgspec
import pytest

from everloop.catalog.session import Session
from everloop.kernel.errors import Conflict, InvalidInput, NotFound
from everloop.tracking import experiments, loggedmodels, runs, service
from everloop.tracking.code import CodeRevision
from everloop.tracking.entities import Experiment, LoggedModel, Run
from everloop.tracking.index.service import search


@pytest.fixture
def trial(session: Session) -> Experiment:
    return service.create_experiment(session, "trial")


@pytest.fixture
def run(session: Session, trial: Experiment) -> Run:
    return service.begin(session, trial.name, "first", CodeRevision(), more=service.ELSEWHERE)


def test_a_title_and_tags_are_changed_and_the_name_stays(session: Session, trial: Experiment) -> None:
    experiments.change(session, msgspec.structs.replace(trial, title="A trial", tags={"team": "core"}))
    found = service.get_experiment(session, "trial")
    assert (found.name, found.title, found.tags) == ("trial", "A trial", {"team": "core"})


def test_a_deleted_experiment_is_in_no_list_and_takes_no_runs(session: Session, trial: Experiment) -> None:
    experiments.hide(session, trial)
    assert service.list_experiments(session) == []
    with pytest.raises(Conflict, match="was deleted"):
        service.start(session, "trial")


def test_a_restored_experiment_is_as_it_was(session: Session, trial: Experiment) -> None:
    experiments.hide(session, trial)
    experiments.restore(session, service.get_experiment(session, "trial"))
    assert service.list_experiments(session) == [trial]


def test_a_run_from_elsewhere_has_no_environment_of_ours(run: Run) -> None:
    assert (run.environment, run.code) == ("", CodeRevision())


def test_a_deleted_run_is_found_by_its_id_only_and_takes_nothing(session: Session, run: Run) -> None:
    runs.hide(session, run.id)
    runs.hide(session, run.id)
    assert search(session) == []
    assert service.get(session, run.id).deleted is not None
    with pytest.raises(Conflict, match="was deleted"):
        service.log(session, run.id, tags={"a": "b"})


def test_a_restored_run_goes_on(session: Session, run: Run) -> None:
    runs.hide(session, run.id)
    runs.restore(session, run.id)
    assert search(session) == [run]
    service.log(session, run.id, tags={"a": "b"})


def test_a_running_run_is_renamed_and_loses_a_tag(session: Session, run: Run) -> None:
    service.log(session, run.id, tags={"a": "b"})
    runs.rename(session, run.id, "second")
    runs.delete_tag(session, run.id, "a")
    found = service.get(session, run.id)
    assert (found.name, found.tags) == ("second", {})
    with pytest.raises(NotFound, match="no tag 'a'"):
        runs.delete_tag(session, run.id, "a")


def test_a_run_that_was_killed_has_ended(session: Session, run: Run) -> None:
    assert service.finish(session, run.id, "killed").status == "killed"
    with pytest.raises(Conflict, match="is killed"):
        runs.rename(session, run.id, "second")
    with pytest.raises(InvalidInput):
        service.finish(session, run.id, "running")


def test_logged_models_are_known_by_run_until_they_are_deleted(session: Session, run: Run) -> None:
    now = session.clock.now()
    made = LoggedModel("m-1", "trial", run.id, "model", "", "pending", {}, {}, now, now)
    loggedmodels.add(session, made)
    ready = loggedmodels.change(session, msgspec.structs.replace(made, status="ready"))
    assert loggedmodels.known(session) == [ready]
    loggedmodels.change(session, msgspec.structs.replace(ready, deleted=now))
    assert loggedmodels.known(session) == []
    assert loggedmodels.get(session, "m-1").deleted == now
    with pytest.raises(NotFound):
        loggedmodels.get(session, "m-2")
