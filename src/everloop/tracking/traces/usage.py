"""What a trace used: tokens and their cost, summed over its spans so that nothing counts twice.

Some libraries note on a span the sum of all below it, so what stands below a span that has a sum is left out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from everloop.tracking.traces.entities import Span

TOKENS = "mlflow.trace.tokenUsage"
COST = "mlflow.trace.cost"
"""The metadata that the sums are kept under, as MLflow's clients read them."""
_SPAN_TOKENS = "mlflow.chat.tokenUsage"
_SPAN_COST = "mlflow.llm.cost"
_TOKEN_KEYS = ("input_tokens", "output_tokens", "total_tokens")
_COST_KEYS = ("input_cost", "output_cost", "total_cost")
_CACHED = ("cache_read_input_tokens", "cache_creation_input_tokens")
_CONVENTIONS = (
    ("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"),  # OpenTelemetry
    ("llm.token_count.prompt", "llm.token_count.completion"),  # OpenInference
)
Sums = dict[str, float]


def tells(spans: Sequence[Span]) -> bool:
    """Whether any of the spans says what it used."""
    return any(_tokens(span) is not None or _cost(span) is not None for span in spans)


def metadata_of(spans: Sequence[Span]) -> dict[str, str]:
    """The sums over all spans of a trace, as its metadata; nothing of what no span tells."""
    found = {TOKENS: _summed(spans, _tokens, _TOKEN_KEYS), COST: _summed(spans, _cost, _COST_KEYS)}
    return {key: msgspec.json.encode(sums).decode() for key, sums in found.items() if sums is not None}


def _summed(spans: Sequence[Span], of: Callable[[Span], Sums | None], always: Sequence[str]) -> Sums | None:
    known = {span.id for span in spans}
    below: dict[str, list[Span]] = defaultdict(list)
    for span in spans:
        below[span.parent if span.parent in known else ""].append(span)
    sums: Sums = {}
    waiting = list(below[""])
    while waiting:
        span = waiting.pop()
        used = of(span)
        if used is None:
            waiting += below.pop(span.id, [])
            continue
        for key, value in used.items():
            sums[key] = sums.get(key, 0) + value
    return {key: sums.pop(key, 0) for key in always} | sums if sums else None


def _tokens(span: Span) -> Sums | None:
    noted = _numbers(span.attributes.get(_SPAN_TOKENS), (*_TOKEN_KEYS, *_CACHED))
    if noted is not None:
        return {key: int(value) for key, value in noted.items()}
    for first, second in _CONVENTIONS:
        given = _numbers({"i": span.attributes.get(first), "o": span.attributes.get(second)}, ("i", "o"))
        if given:
            into, out = int(given.get("i", 0)), int(given.get("o", 0))
            return {"input_tokens": into, "output_tokens": out, "total_tokens": into + out}
    return None


def _cost(span: Span) -> Sums | None:
    return _numbers(span.attributes.get(_SPAN_COST), _COST_KEYS)


def _numbers(value: Any, keys: Sequence[str]) -> Sums | None:
    """The numbers under some keys of an attribute, which may be JSON text."""
    if isinstance(value, str):
        try:
            value = msgspec.json.decode(value)
        except msgspec.DecodeError:
            return None
    if not isinstance(value, dict):
        return None
    found = {key: value[key] for key in keys if isinstance(value.get(key), (int, float)) and abs(value[key]) < 1e15}
    return found or None
