"""The language that traces are searched in: read, or refused in words."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from everloop.kernel.errors import InvalidInput
from everloop.tracking.traces.language import Condition, Ordering, parse, parse_order


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("status = 'OK'", Condition("attribute", "state", "=", "OK")),
        ('trace.status != "OK"', Condition("attribute", "state", "!=", "OK")),
        ("`timestamp` >= 1", Condition("attribute", "started", ">=", 1)),
        ("execution_time_ms < 1.5", Condition("attribute", "milliseconds", "<", 1.5)),
        ("attributes.name ILIKE 'a%'", Condition("attribute", "name", "ilike", "a%")),
        ("tags.`a b` LIKE 'x'", Condition("tag", "a b", "like", "x")),
        ("tag.mlflow.traceName = 'x'", Condition("attribute", "name", "=", "x")),
        ("tag.team.part = 'x'", Condition("tag", "team.part", "=", "x")),
        ("request_metadata.mlflow.sourceRun = 'r'", Condition("attribute", "run", "=", "r")),
        ("metadata.`mlflow.modelId` IS NULL", Condition("metadata", "mlflow.modelId", "is null")),
        ("metadata.k IS NOT NULL", Condition("metadata", "k", "is not null")),
        ("client_request_id NOT IN ('a', 'b')", Condition("attribute", "client_id", "not in", ("a", "b"))),
        ("span.attributes.model RLIKE '^gpt'", Condition("span", "attributes.model", "rlike", "^gpt")),
        ("trace.text LIKE '%it''s%'", Condition("span", "content", "like", "%it's%")),
        ("feedback.score >= 0.5", Condition("feedback", "score", ">=", 0.5)),
        ("prompt = 'qa/3'", Condition("prompt", "prompt", "=", "qa/3")),
        ("issue.id = 'i-1'", Condition("issue", "id", "=", "i-1")),
    ],
)
def test_a_condition_is_read(text: str, condition: Condition) -> None:
    assert parse(text) == [condition]
    assert parse(f"{text} AND {text}") == [condition, condition]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("invalid", r"Invalid clause\(s\) in filter string"),
        ("name = 'foo' AND invalid", r"Invalid clause\(s\) in filter string"),
        ("name = 'foo' OR name = 'bar'", r"Invalid clause\(s\) in filter string"),
        ("foo.bar = 'baz'", "Invalid entity type 'foo'"),
        ("invalid = 'foo'", "Invalid attribute key 'invalid'"),
        ("trace.tags.foo = 'bar'", r"Invalid attribute key 'tags\.foo'"),
        ("trace.status < 'OK'", "Invalid comparator '<'"),
        ("name IN ('foo')", "Invalid comparator 'IN'"),
        ("timestamp = 'noon'", "Expected a numeric value"),
        ("tags.a = 1", "Expected a quoted string value"),
        ("span.duration = '1'", "Invalid span attribute 'duration'"),
        ("span.content = 'x'", "span.content comparator '=' not one of"),
        ("prompt LIKE 'x/1'", "Only '=' is supported"),
        ("prompt = 'x'", "Invalid prompts filter value 'x'"),
        ("issue.name = 'x'", "Invalid issue attribute"),
        ("tags.a = 'open", r"Invalid clause\(s\)"),
        ("x" * 30_000, "30,000 characters"),
    ],
)
def test_what_is_not_in_the_language_is_refused_in_words(text: str, told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        parse(text)


def test_an_order_has_a_direction() -> None:
    assert parse_order("timestamp DESC") == Ordering("attribute", "started", descending=True)
    assert parse_order("tags.team") == Ordering("tag", "team")
    assert parse_order("experiment_id asc") == Ordering("attribute", "experiment")


@pytest.mark.parametrize("text", ["", "timestamp sideways", "timestamp DESC, name", "span.name", "prompt"])
def test_an_order_by_nothing_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_order(text)


@given(st.text(alphabet="ab.`'\"=<>!()0123- \\,%ISNULLtagsAND", max_size=40))
@example("tag.a = 'x' AND")
@example("`" * 39)
def test_whatever_is_asked_it_is_read_or_refused(text: str) -> None:
    with suppress(InvalidInput):
        parse(text)
    with suppress(InvalidInput):
        parse_order(text)
