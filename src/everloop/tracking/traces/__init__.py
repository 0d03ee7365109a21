"""Traces: what one request to an application did, as a tree of spans, and what people and judges said of it."""
