"""Champion and challenger."""

from __future__ import annotations

import pytest

from everloop.catalog.session import Session
from everloop.kernel.errors import NotFound
from everloop.registry import service as models
from everloop.registry.comparison.service import compare
from everloop.registry.entities import Field, Signature
from tests.registry.making import registered, tree


def test_metrics_and_slices_stand_side_by_side(session: Session) -> None:
    registered(session, metrics={"auc": 0.7, "auc[carrier=AA]": 0.6})
    registered(session, metrics={"auc": 0.75, "f1": 0.5})
    models.set_alias(session, "delay", "champion", 1)
    found = compare(session, "delay")
    assert (found.champion, found.challenger, found.same_files) == (1, 2, True)
    assert [(it.metric, it.champion, it.challenger) for it in found.metrics] == [("auc", 0.7, 0.75), ("f1", None, 0.5)]
    assert found.metrics[0].difference == pytest.approx(0.05)
    assert [(it.column, it.value, it.champion) for it in found.slices] == [("carrier", "AA", 0.6)]


def test_what_the_signatures_do_not_share_is_told(session: Session) -> None:
    registered(session)
    other = Signature((Field("x", "int64"), Field("y", "string")), (Field("p", "float64"),))
    models.register(session, "delay", tree(session, signature=other))
    found = compare(session, "delay", 2, 1)
    assert [(it.name, it.change) for it in found.differences if it.what == "input"] == [
        ("x", "changed"),
        ("y", "added"),
    ]


def test_without_a_champion_one_must_be_named(session: Session) -> None:
    registered(session)
    with pytest.raises(NotFound, match="no champion to compare with"):
        compare(session, "delay")
    assert compare(session, "delay", 1, 1).differences == []
