"""Tokens and cost are summed over a trace, and nothing counts twice."""

from __future__ import annotations

import msgspec

from everloop.catalog.session import Session
from everloop.tracking.traces import usage
from everloop.tracking.traces.entities import Span
from tests.tracking.traces.build import record, root, span, whole

TOKENS = "mlflow.chat.tokenUsage"


def used(into: int, out: int) -> dict[str, dict[str, int]]:
    return {TOKENS: {"input_tokens": into, "output_tokens": out, "total_tokens": into + out}}


def tokens(*spans: Span) -> dict[str, float] | None:
    found = usage.metadata_of(spans).get(usage.TOKENS)
    return msgspec.json.decode(found, type=dict[str, float]) if found else None


def test_what_leaves_used_is_summed() -> None:
    found = tokens(root(), span("a", attributes=used(1, 2)), span("b", attributes=used(10, 20)))
    assert found == {"input_tokens": 11, "output_tokens": 22, "total_tokens": 33}


def test_what_stands_below_a_sum_does_not_count_again() -> None:
    found = tokens(
        root(attributes=used(11, 22)), span("a", attributes=used(1, 2)), span("b", "a", attributes=used(10, 20))
    )
    assert found == {"input_tokens": 11, "output_tokens": 22, "total_tokens": 33}


def test_the_words_of_opentelemetry_and_openinference_count_too() -> None:
    genai = span("a", attributes={"gen_ai.usage.input_tokens": 1, "gen_ai.usage.output_tokens": 2})
    inference = span("b", attributes={"llm.token_count.prompt": 3, "llm.token_count.completion": 4})
    assert tokens(genai, inference) == {"input_tokens": 4, "output_tokens": 6, "total_tokens": 10}


def test_cost_is_summed_beside_tokens() -> None:
    spans = [
        span(name, attributes={"mlflow.llm.cost": {"input_cost": 0.5, "output_cost": 0.25, "total_cost": 0.75}})
        for name in "ab"
    ]
    found = msgspec.json.decode(usage.metadata_of(spans)[usage.COST])
    assert found == {"input_cost": 1.0, "output_cost": 0.5, "total_cost": 1.5}


def test_usage_that_makes_no_sense_counts_for_nothing() -> None:
    assert (
        tokens(
            span("a", attributes={TOKENS: "no JSON"}),
            span("b", attributes={TOKENS: [1]}),
            span("c", attributes={TOKENS: {"x": 1}}),
        )
        is None
    )


def test_a_circle_of_parents_counts_for_nothing_and_ends() -> None:
    assert tokens(span("a", "b", attributes=used(1, 1)), span("b", "a", attributes=used(1, 1))) is None


def test_the_sum_is_known_when_the_trace_has_ended_however_its_spans_came(session: Session) -> None:
    record(session, "t", span("a", attributes=used(1, 2)))
    record(session, "t", span("b", attributes=used(10, 20)))
    record(session, "t", root())
    assert '"total_tokens":33' in whole(session, "t").metadata[usage.TOKENS]
