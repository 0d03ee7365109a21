"""HCL, Terraform's language, out of plain data: every text is quoted, so that no name becomes an expression."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec


class Expression(msgspec.Struct, frozen=True):
    """A reference such as `aws_lb.late.arn`, written as it stands. Never made of a user's text."""

    text: str


class Block(msgspec.Struct, frozen=True):
    """A block: `resource "aws_lb" "late" { … }`. Arguments come before the blocks inside of it."""

    kind: str
    labels: tuple[str, ...] = ()
    arguments: Mapping[str, Any] = {}
    blocks: tuple[Block, ...] = ()


def value_text(value: object, indent: str = "") -> str:
    """A value as an argument has it."""
    return _value(value, indent)


def written(*blocks: Block) -> str:
    """The blocks as `terraform fmt` would have them."""
    return "\n".join(_block(block, "") for block in blocks)


def _block(block: Block, indent: str) -> str:
    head = " ".join([block.kind, *(_quoted(label) for label in block.labels)])
    inside = _pairs(block.arguments, indent + "  ")
    nested = "\n".join(_block(one, indent + "  ") for one in block.blocks)
    between = "\n" if inside and nested else ""
    return f"{indent}{head} {{\n{inside}{between}{nested}{indent}}}\n"


def _pairs(pairs: Mapping[str, Any], indent: str) -> str:
    """Arguments, with the equal signs of neighbouring lines below each other, as long as each takes one line."""
    lines: list[str] = []
    group: list[tuple[str, str]] = []
    for name, value in pairs.items():
        text = _value(value, indent)
        if "\n" in text:
            lines += [*_aligned(group, indent), f"{indent}{name} = {text}\n"]
            group = []
        else:
            group.append((name, text))
    return "".join([*lines, *_aligned(group, indent)])


def _aligned(group: Sequence[tuple[str, str]], indent: str) -> list[str]:
    width = max((len(name) for name, _ in group), default=0)
    return [f"{indent}{name:<{width}} = {text}\n" for name, text in group]


def _value(value: object, indent: str) -> str:
    if isinstance(value, Expression):
        return value.text
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return f"{value:g}" if isinstance(value, float) else str(value)
    if isinstance(value, Mapping):
        names = {name if name.isidentifier() else _quoted(name): one for name, one in value.items()}
        return f"{{\n{_pairs(names, indent + '  ')}{indent}}}" if value else "{}"
    if isinstance(value, (list, tuple)):
        return _list(value, indent)
    return _quoted(str(value))


def _list(values: Sequence[object], indent: str) -> str:
    texts = [_value(one, indent + "  ") for one in values]
    if not any("\n" in text for text in texts):
        return f"[{', '.join(texts)}]"
    return "[\n" + "".join(f"{indent}  {text},\n" for text in texts) + f"{indent}]"


def _quoted(text: str) -> str:
    """A text between quotes, in which nothing is an escape or a template any more."""
    plain = msgspec.json.encode(text).decode()
    return plain.replace("${", "$${").replace("%{", "%%{")
