"""The registry's use cases: versions, aliases, decisions, promotion."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import msgspec
import pytest
from sqlalchemy import select

from everloop.app.platform import Platform
from everloop.catalog import lineage
from everloop.catalog.session import Session
from everloop.catalog.tables import ledger
from everloop.governance.entities import Principal
from everloop.kernel.errors import Conflict, InvalidInput, NotFound, PermissionDenied, Refused
from everloop.kernel.events import kind_of
from everloop.registry import service as models
from everloop.registry.entities import Field, Model, Signature
from everloop.store.entities import Digest


def kinds(session: Session) -> list[str]:
    return [kind_of(event) for events in session._events.values() for event in events]


def test_the_first_registration_makes_the_name_and_version_1(session: Session, trained: Model) -> None:
    made = models.register(session, "delay", trained)
    assert (made.version, models.get(session, "delay").latest) == (1, 1)


def test_versions_count_up_without_a_hole(session: Session, trained: Model) -> None:
    numbers = [models.register(session, "delay", trained).version for _ in range(3)]
    assert numbers == [1, 2, 3]
    assert [found.version for found in models.versions(session, "delay")] == [3, 2, 1]


def test_a_version_comes_back_as_it_was_registered(session: Session, trained: Model) -> None:
    made = models.register(session, "delay", trained, run="r1", note="first")
    assert models.version(session, "delay", 1) == made
    assert made.trained == trained


@pytest.mark.slow
def test_registering_at_the_same_time_leaves_no_hole_and_no_twin(platform: Platform, trained_apart: Model) -> None:
    arguments = {"name": "busy", "trained": trained_apart}
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: platform.call("models.register", arguments).version, range(24)))
    assert sorted(made) == list(range(1, 25))


def test_models_of_another_project_are_not_seen(platform: Platform, trained_apart: Model) -> None:
    platform.call("models.register", {"name": "delay", "trained": trained_apart}, project="one")
    assert platform.call("models.list", {}, project="two") == []


def test_creating_a_name_twice_is_a_conflict(session: Session) -> None:
    models.create(session, "delay", "lateness")
    with pytest.raises(Conflict, match="delay"):
        models.create(session, "delay")


def test_a_model_whose_files_are_not_kept_is_not_registered(session: Session, trained: Model) -> None:
    lost = msgspec.structs.replace(trained, digest=Digest("0" * 64))
    with pytest.raises(NotFound, match="files"):
        models.register(session, "delay", lost)


@pytest.mark.parametrize(
    ("signature", "said"),
    [
        (Signature((), (Field("p", "float64"),)), "lacks inputs"),
        (Signature((Field("x", "float64"),), ()), "lacks inputs or outputs"),
        (Signature((Field("x", "float64"), Field("x", "int64")), (Field("p", "float64"),)), "x twice"),
    ],
)
def test_a_signature_that_cannot_be_right_is_refused(
    session: Session, trained: Model, signature: Signature, said: str
) -> None:
    with pytest.raises(InvalidInput, match=said):
        models.register(session, "delay", msgspec.structs.replace(trained, signature=signature))


@pytest.mark.parametrize("name", ["", "../up", "a b", "x" * 129, "-dash"])
def test_names_that_are_no_names_are_refused_at_the_door(platform: Platform, name: str) -> None:
    with pytest.raises(InvalidInput):
        platform.call("models.create", {"name": name})


def test_an_unknown_version_names_the_newest(session: Session, trained: Model) -> None:
    models.register(session, "delay", trained)
    with pytest.raises(NotFound, match=r"no version 9.*newest is 1"):
        models.version(session, "delay", 9)


def test_an_unknown_model_is_not_found(session: Session) -> None:
    with pytest.raises(NotFound, match="ghost"):
        models.versions(session, "ghost")


def test_a_version_is_found_by_its_alias(session: Session, trained: Model) -> None:
    models.register(session, "delay", trained)
    models.register(session, "delay", trained)
    models.set_alias(session, "delay", "steady", 1)
    assert models.version(session, "delay", alias="steady").version == 1
    assert models.version(session, "delay").version == 2


def test_version_and_alias_together_are_refused(session: Session, trained: Model) -> None:
    models.register(session, "delay", trained)
    with pytest.raises(InvalidInput, match="Both"):
        models.version(session, "delay", 1, "champion")


def test_an_unknown_alias_names_those_there_are(session: Session, trained: Model) -> None:
    models.register(session, "delay", trained)
    models.set_alias(session, "delay", "steady", 1)
    with pytest.raises(NotFound, match="steady"):
        models.version(session, "delay", alias="champion")


def test_an_alias_moves_and_says_where_it_was(session: Session, trained: Model) -> None:
    models.register(session, "delay", trained)
    models.register(session, "delay", trained)
    models.set_alias(session, "delay", "champion", 1)
    models.set_alias(session, "delay", "champion", 2)
    moved = session._events[session.project, session.principal][-1]
    assert msgspec.to_builtins(moved) == {
        "kind": "models.alias_moved",
        "subject": "model:default/delay@2",
        "alias": "champion",
        "version": 2,
        "previous": 1,
    }
    assert [alias.version for alias in models.aliases(session, "delay")] == [2]


def test_setting_an_alias_where_it_stands_changes_nothing(session: Session, trained: Model) -> None:
    models.register(session, "delay", trained)
    first = models.set_alias(session, "delay", "champion", 1)
    assert models.set_alias(session, "delay", "champion", 1) == first
    assert kinds(session).count("models.alias_moved") == 1


def test_an_alias_cannot_point_to_a_version_that_is_not_there(session: Session, trained: Model) -> None:
    models.register(session, "delay", trained)
    with pytest.raises(NotFound):
        models.set_alias(session, "delay", "champion", 2)
    assert models.aliases(session, "delay") == []


def test_a_deleted_alias_is_gone_and_its_version_stays(session: Session, trained: Model) -> None:
    models.register(session, "delay", trained)
    models.set_alias(session, "delay", "champion", 1)
    assert models.delete_alias(session, "delay", "champion").version == 1
    assert models.aliases(session, "delay") == []
    assert models.version(session, "delay", 1).version == 1


def test_promotion_approves_and_moves_the_champion(session: Session, trained: Model) -> None:
    models.register(session, "delay", trained)
    alias = models.promote(session, "delay", 1, "beats nothing yet", {"roc_auc": 0.7})
    decided = models.approvals(session, "delay", 1)
    assert (alias.alias, alias.version) == ("champion", 1)
    assert [(a.decision, a.digest, a.evidence) for a in decided] == [("approved", trained.digest, {"roc_auc": 0.7})]
    assert kinds(session)[-2:] == ["models.approval", "models.alias_moved"]


def test_a_promotion_that_fails_leaves_neither_approval_nor_alias(
    platform: Platform, trained_apart: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform.call("models.register", {"name": "delay", "trained": trained_apart})
    with monkeypatch.context() as patch:
        patch.setattr(models, "set_alias", _broken)
        with pytest.raises(RuntimeError):
            platform.call("models.promote", {"name": "delay", "version": 1, "reason": "good"})
    assert platform.call("models.approvals", {"name": "delay", "version": 1}) == []
    assert platform.call("models.aliases", {"name": "delay"}) == []
    assert platform.call("audit.entries", {"kind": "models.approval"}) == []


def _broken(*_: object) -> None:
    raise RuntimeError("the machine died here")


def test_a_rejected_version_is_not_promoted_until_it_is_approved(session: Session, trained: Model) -> None:
    models.register(session, "delay", trained)
    models.approve(session, "delay", 1, "rejected", "slice UA is worse")
    with pytest.raises(Refused, match="slice UA is worse"):
        models.promote(session, "delay", 1, "anyway")
    models.approve(session, "delay", 1, "approved", "looked again")
    assert models.promote(session, "delay", 1, "looked again").version == 1


def test_a_decision_needs_a_reason(session: Session, trained: Model) -> None:
    models.register(session, "delay", trained)
    with pytest.raises(InvalidInput, match="reason"):
        models.approve(session, "delay", 1, "approved", "  ")


def test_a_contributor_registers_but_does_not_promote(platform: Platform, trained_apart: Model) -> None:
    ann = Principal("ann", ("contributor",))
    platform.call("models.register", {"name": "delay", "trained": trained_apart}, principal=ann)
    with pytest.raises(PermissionDenied):
        platform.call("models.promote", {"name": "delay", "version": 1, "reason": "mine"}, principal=ann)


def test_a_version_with_an_alias_is_not_deleted(session: Session, trained: Model) -> None:
    models.register(session, "delay", trained)
    models.set_alias(session, "delay", "champion", 1)
    with pytest.raises(Refused, match="alias champion"):
        models.delete_version(session, "delay", 1, "old")


def test_a_version_that_something_came_from_is_not_deleted(session: Session, trained: Model) -> None:
    models.register(session, "delay", trained)
    lineage.link(session, "deployment:default/delay@1", "model:default/delay@1", "serves")
    with pytest.raises(Refused, match="deployment:default/delay@1"):
        models.delete_version(session, "delay", 1, "old")


def test_the_number_of_a_deleted_version_is_never_given_again(session: Session, trained: Model) -> None:
    models.register(session, "delay", trained)
    models.delete_version(session, "delay", 1, "a mistake")
    assert models.register(session, "delay", trained).version == 2


def test_deleting_needs_a_version_number(session: Session, trained: Model) -> None:
    models.register(session, "delay", trained)
    with pytest.raises(InvalidInput, match="number"):
        models.delete_version(session, "delay", 0, "which?")


def test_a_model_is_deleted_with_its_versions_and_made_again_goes_on_counting(session: Session, trained: Model) -> None:
    for _ in range(2):
        models.register(session, "delay", trained)
    models.delete_model(session, "delay", "a mistake")
    with pytest.raises(NotFound):
        models.get(session, "delay")
    assert models.list_models(session) == []
    assert models.register(session, "delay", trained).version == 3
    assert [one.version for one in models.versions(session, "delay")] == [3]


def test_a_model_is_not_deleted_while_an_alias_names_a_version_of_it(session: Session, trained: Model) -> None:
    for _ in range(2):
        models.register(session, "delay", trained)
    models.set_alias(session, "delay", "champion", 1)
    with pytest.raises(Refused, match="alias champion"):
        models.delete_model(session, "delay")


def test_a_refused_deletion_of_a_model_deletes_nothing(platform: Platform, trained_apart: Model) -> None:
    for _ in range(2):
        platform.call("models.register", {"name": "delay", "trained": trained_apart})
    platform.call("models.set_alias", {"name": "delay", "alias": "champion", "version": 1})
    with pytest.raises(Refused):
        platform.call("models.delete", {"name": "delay"})
    assert [one.version for one in platform.call("models.versions", {"name": "delay"})] == [2, 1]


def test_a_name_without_versions_is_deleted(session: Session) -> None:
    made = models.create(session, "delay", "lateness")
    assert models.delete_model(session, "delay") == made
    assert models.list_models(session) == []


@pytest.mark.parametrize("name", ["versions", "aliases", "get", "delete_model", "card"])
def test_what_is_asked_of_an_unknown_model_is_not_found(session: Session, name: str) -> None:
    with pytest.raises(NotFound, match="ghost"):
        getattr(models, name)(session, "ghost")


def test_deleting_an_unknown_alias_names_those_there_are(session: Session, trained: Model) -> None:
    models.register(session, "delay", trained)
    with pytest.raises(NotFound, match="It has: none"):
        models.delete_alias(session, "delay", "champion")


def test_a_version_that_does_not_exist_is_neither_decided_nor_promoted(session: Session, trained: Model) -> None:
    models.register(session, "delay", trained)
    with pytest.raises(NotFound):
        models.approve(session, "delay", 2, "approved", "good")
    with pytest.raises(NotFound):
        models.promote(session, "delay", 2, "good")
    assert models.aliases(session, "delay") == []


def test_an_unknown_decision_is_refused_at_the_door(platform: Platform, trained_apart: Model) -> None:
    platform.call("models.register", {"name": "delay", "trained": trained_apart})
    arguments = {"name": "delay", "version": 1, "decision": "maybe", "reason": "who knows"}
    with pytest.raises(InvalidInput, match="maybe"):
        platform.call("models.approve", arguments)


def test_an_approval_names_who_decided_and_when(platform: Platform, trained_apart: Model) -> None:
    ann = Principal("ann", ("deployer",))
    platform.call("models.register", {"name": "delay", "trained": trained_apart})
    arguments = {"name": "delay", "version": 1, "decision": "approved", "reason": "good", "evidence": {"auc": [0.7]}}
    made = platform.call("models.approve", arguments, principal=ann)
    assert (made.approver, made.at, made.evidence) == ("ann", platform.resources.clock.now(), {"auc": [0.7]})
    assert platform.call("models.approvals", {"name": "delay", "version": 1}) == [made]


def test_a_registration_that_is_retried_with_its_key_happens_once(platform: Platform, trained_apart: Model) -> None:
    arguments = {"name": "delay", "trained": trained_apart}
    first = platform.call("models.register", arguments, key="k1")
    assert platform.call("models.register", arguments, key="k1") == first
    assert platform.call("models.get", {"name": "delay"}).latest == 1


@pytest.mark.slow
def test_moving_an_alias_at_the_same_time_leaves_a_version_and_a_whole_chain(
    platform: Platform, trained_apart: Model
) -> None:
    for _ in range(2):
        platform.call("models.register", {"name": "delay", "trained": trained_apart})
    with ThreadPoolExecutor(8) as pool:
        moves = [{"name": "delay", "version": 1 + number % 2, "reason": str(number)} for number in range(16)]
        list(pool.map(lambda arguments: platform.call("models.promote", arguments), moves))
    (alias,) = platform.call("models.aliases", {"name": "delay"})
    moved = platform.call("audit.entries", {"kind": "models.alias_moved"})
    assert alias.version == moved[0].event["version"]
    assert all(newer.event["previous"] == older.event["version"] for newer, older in pairwise(moved))
    assert platform.call("audit.verify", {}).intact


def test_a_version_is_linked_to_its_run(session: Session, trained: Model) -> None:
    models.register(session, "delay", trained, run="r1")
    edges = lineage.graph(session, "model:default/delay@1", "upstream", 1).edges
    assert [(edge.upstream, edge.relation) for edge in edges] == [("run:default/r1", "made_by")]


def test_a_version_without_a_run_is_linked_to_its_data(session: Session, trained: Model) -> None:
    models.register(session, "delay", trained)
    edges = lineage.graph(session, "model:default/delay@1", "upstream", 1).edges
    assert [(edge.upstream, edge.relation) for edge in edges] == [("dataset:default/examples@1", "used")]


def test_the_card_tells_metrics_slices_decisions_and_lineage(session: Session, trained: Model) -> None:
    models.register(session, "delay", trained, note="the first")
    models.approve(session, "delay", 1, "approved", "good enough")
    card = models.card(session, "delay")
    for part in (
        "# delay, version 1",
        "| roc_auc | 0.71 |",
        "## By carrier",
        "good enough",
        "dataset:default/examples@1",
    ):
        assert part in card


def test_a_card_that_is_given_is_kept(session: Session, trained: Model) -> None:
    assert models.register(session, "delay", trained, card="# Mine").card == "# Mine"
    assert models.card(session, "delay", 1).startswith("# Mine\n")


def test_every_change_is_an_event_in_the_ledger(platform: Platform, trained_apart: Model) -> None:
    platform.call("models.register", {"name": "delay", "trained": trained_apart})
    platform.call("models.promote", {"name": "delay", "version": 1, "reason": "good"})
    with platform.session().begin(write=False) as unit:
        written = unit.scalars(select(ledger.c.kind).order_by(ledger.c.sequence))
    assert written == [
        *("models.compiled", "models.created", "models.registered", "models.approval", "models.alias_moved")
    ]
