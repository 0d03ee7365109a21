"""HCL: what is written is what Terraform reads, whatever stands in the texts."""

from __future__ import annotations

from typing import Any

import hcl2
from hypothesis import given
from hypothesis import strategies as st

from everloop.packaging.manifests.hcl import Block, Expression, written

TEXTS = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_characters="$%\x7f"), max_size=20)


def read(text: str) -> Any:
    return hcl2.loads(text)


def test_a_block_has_its_labels_its_arguments_in_line_and_its_blocks() -> None:
    inner = Block("ports", (), {"container_port": 8080})
    block = Block("resource", ("aws_lb", "this"), {"name": "late", "internal": True}, (inner,))
    head, *arguments = written(block).partition("\n\n")[0].splitlines()
    assert head == 'resource "aws_lb" "this" {'
    assert arguments == ['  name     = "late"', "  internal = true"]
    assert written(block).endswith("\n\n  ports {\n    container_port = 8080\n  }\n}\n")


def test_a_text_is_never_an_expression() -> None:
    text = written(Block("output", ("x",), {"value": '${file("/etc/passwd")} %{if true}" \\'}))
    assert r'"$${file(\"/etc/passwd\")} %%{if true}\" \\"' in text


def test_an_expression_stands_as_it_is() -> None:
    assert "value = aws_lb.this.arn\n" in written(Block("output", ("x",), {"value": Expression("aws_lb.this.arn")}))


def test_a_name_that_is_no_identifier_is_quoted() -> None:
    assert '"awslogs-group" = "x"' in written(Block("locals", (), {"it": {"awslogs-group": "x"}}))


@given(TEXTS, st.integers(), st.booleans(), st.lists(TEXTS, max_size=3))
def test_what_is_written_can_be_parsed(text: str, number: int, flag: bool, texts: list[str]) -> None:
    block = Block("locals", (), {"text": text, "number": number, "flag": flag, "texts": texts, "in": {"it": text}})
    (found,) = read(written(block))["locals"]
    assert set(found) >= {"text", "number", "flag", "texts", "in"}
    assert found["flag"] is flag
