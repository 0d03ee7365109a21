"""The nodes of an inference graph: models put together to answer as one. They nest, so that there are no cycles."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

import msgspec
from msgspec.structs import replace

from everloop.kernel.ids import Name
from everloop.store.entities import Digest


class Member(msgspec.Struct, frozen=True, tag="member", tag_field="kind", forbid_unknown_fields=True):
    """A registered model: by version or by alias, else the newest. Without a name the version that is deployed itself.

    `pinned` (a version) and `digest` are filled in when it is deployed: an alias that moves later changes nothing.
    """

    model: str = ""
    version: Annotated[int, msgspec.Meta(ge=0)] = 0
    alias: str = ""
    pinned: int = 0
    digest: Digest | Literal[""] = ""


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A node whose score is the input `name` of what follows."""

    name: str
    node: Node


class Sequence(msgspec.Struct, frozen=True, tag="sequence", tag_field="kind", forbid_unknown_fields=True):
    """`then` answers; it sees the request's inputs and the score of each step, as does each later step.

    With steps that do not take each other's scores this is stacking.
    """

    steps: Annotated[tuple[Step, ...], msgspec.Meta(min_length=1)]
    then: Node


class Ensemble(msgspec.Struct, frozen=True, tag="ensemble", tag_field="kind", forbid_unknown_fields=True):
    """All members answer: their (weighted) mean, or the (weighted) part of them whose score is over `threshold`."""

    members: Annotated[tuple[Node, ...], msgspec.Meta(min_length=1)]
    combine: Literal["mean", "vote"] = "mean"
    weights: tuple[Annotated[float, msgspec.Meta(ge=0)], ...] = ()
    threshold: float = 0.5


class Case(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The rows for which a condition on the inputs holds, such as `distance > 500 and carrier == 'AA'`."""

    when: str
    node: Node


class Switch(msgspec.Struct, frozen=True, tag="switch", tag_field="kind", forbid_unknown_fields=True):
    """Each row goes to the first case that it meets, else to `otherwise`."""

    cases: Annotated[tuple[Case, ...], msgspec.Meta(min_length=1)]
    otherwise: Node


class Branch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A part of the rows, in proportion to its weight."""

    weight: Annotated[float, msgspec.Meta(gt=0)]
    node: Node


class Splitter(msgspec.Struct, frozen=True, tag="splitter", tag_field="kind", forbid_unknown_fields=True):
    """Rows are divided by the value of the input `key`: equal values always go to the same branch."""

    key: str
    branches: Annotated[tuple[Branch, ...], msgspec.Meta(min_length=1)]
    salt: Name = "graph"


class Attempt(msgspec.Struct, frozen=True, tag="attempt", tag_field="kind", forbid_unknown_fields=True):
    """The rows that a node fails on, by raising or by a score that is not finite, go to the next node."""

    nodes: Annotated[tuple[Node, ...], msgspec.Meta(min_length=1)]


Node = Member | Sequence | Ensemble | Switch | Splitter | Attempt


def children(node: Node) -> tuple[Node, ...]:
    """The nodes that a node is made of, in order."""
    match node:
        case Member():
            return ()
        case Sequence():
            return (*(step.node for step in node.steps), node.then)
        case Ensemble():
            return node.members
        case Switch():
            return (*(case.node for case in node.cases), node.otherwise)
        case Splitter():
            return tuple(branch.node for branch in node.branches)
        case Attempt():
            return node.nodes


def with_children(node: Node, found: tuple[Node, ...]) -> Node:
    """The node made of others, as many as it had."""
    match node:
        case Member():
            return node
        case Sequence():
            steps = tuple(replace(step, node=one) for step, one in zip(node.steps, found[:-1], strict=True))
            return replace(node, steps=steps, then=found[-1])
        case Ensemble():
            return replace(node, members=found)
        case Switch():
            cases = tuple(replace(case, node=one) for case, one in zip(node.cases, found[:-1], strict=True))
            return replace(node, cases=cases, otherwise=found[-1])
        case Splitter():
            parts = zip(node.branches, found, strict=True)
            return replace(node, branches=tuple(replace(branch, node=one) for branch, one in parts))
        case Attempt():
            return replace(node, nodes=found)


def members(node: Node) -> Iterator[Member]:
    """The members of a graph, in order."""
    if isinstance(node, Member):
        yield node
    for one in children(node):
        yield from members(one)
