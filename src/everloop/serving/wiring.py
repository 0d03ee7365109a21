"""What an inference graph takes: the inputs of its members, less what its steps make."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from everloop.kernel.errors import InvalidInput
from everloop.registry.entities import Field
from everloop.serving import nodes
from everloop.serving.expression import Expression
from everloop.serving.nodes import Member, Node

InputsOf = Callable[[Member], Sequence[Field]]


def inputs_of(node: Node, of: InputsOf) -> tuple[Field, ...]:
    """The union of what the nodes take, in their order; `of` tells it of a member.

    Raises:
        InvalidInput: two take different things under one name, or a condition or key names what nothing takes.
    """
    found = _inputs(node, of)
    _check_conditions(node, {field.name: field for field in found})
    return found


def _inputs(node: Node, of: InputsOf) -> tuple[Field, ...]:
    match node:
        case Member():
            return tuple(of(node))
        case nodes.Sequence():
            return _of_sequence(node, of)
        case nodes.Ensemble():
            return _union(_inputs(one, of) for one in node.members)
        case nodes.Switch():
            return _union([*(_inputs(case.node, of) for case in node.cases), _inputs(node.otherwise, of)])
        case nodes.Splitter():
            inside = _union(_inputs(one.node, of) for one in node.branches)
            return _union([inside, ()] if node.key in {f.name for f in inside} else [inside, _key(node.key)])
        case nodes.Attempt():
            return _union(_inputs(one, of) for one in node.nodes)


def _of_sequence(node: nodes.Sequence, of: InputsOf) -> tuple[Field, ...]:
    """What the steps make is no input of the graph; each of them must be taken by something that follows."""
    made: dict[str, bool] = {}
    brought: list[Sequence[Field]] = []
    for name, one in [*((step.name, step.node) for step in node.steps), ("", node.then)]:
        taken = _inputs(one, of)
        for field in taken:
            if field.name in made:
                made[field.name] = True
                _require_number(field)
        brought.append([field for field in taken if field.name not in made])
        if name in made or name in {field.name for fields in brought for field in fields}:
            raise InvalidInput(f"A step makes {name!r}, which is there before it.", hint="Give it another name.")
        if name:
            made[name] = False
    unused = [name for name, used in made.items() if not used]
    if unused:
        raise InvalidInput(
            f"Nothing in the sequence takes {', '.join(unused)}.", hint="Name a step as the input that takes its score."
        )
    return _union(brought)


def _require_number(field: Field) -> None:
    if field.type in ("string", "bytes") or field.shape:
        raise InvalidInput(f"The input {field.name!r} takes a {field.type}, and a step makes a number.")


def _key(name: str) -> tuple[Field, ...]:
    if not name:
        raise InvalidInput("A splitter has no key.", hint="Name the input that its rows are divided by.")
    return (Field(name, "string"),)


def _union(parts: Iterable[Sequence[Field]]) -> tuple[Field, ...]:
    together: dict[str, Field] = {}
    for field in (field for part in parts for field in part):
        other = together.setdefault(field.name, field)
        if (other.type, other.shape) != (field.type, field.shape):
            raise InvalidInput(
                f"The input {field.name!r} is {other.type} to one member of the graph and {field.type} to another.",
                hint="Train them on the same inputs.",
            )
    return tuple(together.values())


def _check_conditions(node: Node, known: dict[str, Field]) -> None:
    """Conditions see the inputs of the whole graph, and what the steps make that they stand below."""
    if isinstance(node, nodes.Switch):
        for case in node.cases:
            if (kind := Expression(case.when, known).kind) != "truth":
                raise InvalidInput(f"The condition {case.when!r} is a {kind}.", hint="Compare something.")
    inner = known
    for at, one in enumerate(nodes.children(node)):
        if isinstance(node, nodes.Sequence) and at:
            step = node.steps[at - 1]
            inner = inner | {step.name: Field(step.name, "float64")}
        _check_conditions(one, inner)
