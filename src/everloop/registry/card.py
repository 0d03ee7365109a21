"""The model card: what a reader must know of a version, as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from everloop.catalog.entities import LineageEdge
from everloop.registry import forms
from everloop.registry.compilation.entities import Compilation
from everloop.registry.entities import Approval, Field, Model, ModelVersion

_SLICE = re.compile(r"(?P<metric>[^\[\]]+)\[(?P<column>[^=\[\]]+)=(?P<value>[^\[\]]*)\]")


def slice_metric(metric: str, column: str, value: str) -> str:
    """The name that a metric of one slice is kept under.

    >>> slice_metric("roc_auc", "carrier", "UA")
    'roc_auc[carrier=UA]'
    """
    return f"{metric}[{column}={value}]"


def slice_of(name: str) -> tuple[str, str, str]:
    """The metric, the column and the value that a name is made of; column and value are empty for no slice.

    >>> slice_of("roc_auc[carrier=UA]")
    ('roc_auc', 'carrier', 'UA')
    """
    match = _SLICE.fullmatch(name)
    return (match["metric"], match["column"], match["value"]) if match else (name, "", "")


def written(name: str, version: int, trained: Model, note: str = "", schema: str = "") -> str:
    """The card of a version as it is registered; `schema` is a list of what our signature cannot say."""
    parts = [
        f"# {_plain(name)}, version {version}",
        _plain(note),
        _facts(trained),
        _metrics(trained.metrics),
        *_slices(trained.metrics),
        _fields("Inputs", trained.signature.inputs),
        _fields("Outputs", trained.signature.outputs),
        f"## Signature, as MLflow has it\n\n{schema}" if schema else "",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def completed(
    version: ModelVersion,
    approvals: Sequence[Approval],
    origins: Iterable[LineageEdge],
    compiled: Compilation | None = None,
) -> str:
    """The card with what came after: how it is run, the decisions, newest first, and the lineage."""
    decisions = [[a.decision, a.approver, f"{a.at:%Y-%m-%d %H:%M}", a.reason] for a in approvals]
    lines = [[edge.downstream, edge.relation.replace("_", " "), edge.upstream] for edge in origins]
    parts = [
        version.card.rstrip(),
        _compiled(compiled) if compiled else "",
        _section("Decisions", ["decision", "by", "at (UTC)", "reason"], decisions),
        _section("Lineage", ["this", "relation", "that"], lines),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _compiled(found: Compilation) -> str:
    """The proof that what runs is what was registered."""
    told = found.evidence
    facts = [
        ["runs in", found.engine],
        ["why", found.reason],
        ["rows compared", f"{told.rows:,}, {told.boundary_rows:,} of them on thresholds"],
        ["equal to the last bit", f"{told.equal:,}"],
        ["largest difference", f"{told.difference:.3g}"],
        ["µs for 1 row", f"{told.native_us[0]:.4g} native, {told.compiled_us[0]:.3g} compiled"],
        ["µs for 64 rows", f"{told.native_us[1]:.4g} native, {told.compiled_us[1]:.3g} compiled"],
    ]
    return _section("Compilation", ["what", "found"], facts if told.rows else facts[:2])


def _facts(trained: Model) -> str:
    features = f"{trained.features}@{trained.features_version}" if trained.features else ""
    facts = {
        "Flavor": trained.flavor,
        "Digest": trained.digest,
        "Features": features,
        "Trained on": trained.training,
        "Held out": trained.holdout,
        "Label": trained.label,
    }
    return "\n".join(f"- {title}: `{_plain(value)}`" for title, value in facts.items() if value)


def _metrics(metrics: Mapping[str, float]) -> str:
    rows = [[name, _number(value)] for name, value in sorted(metrics.items()) if not _SLICE.fullmatch(name)]
    return _section("Metrics", ["metric", "value"], rows)


def _slices(metrics: Mapping[str, float]) -> list[str]:
    tables: dict[str, list[list[str]]] = {}
    for name, value in sorted(metrics.items()):
        match = _SLICE.fullmatch(name)
        if match is not None:
            tables.setdefault(match["column"], []).append([match["value"], match["metric"], _number(value)])
    return [_section(f"By {column}", [column, "metric", "value"], rows) for column, rows in tables.items()]


def _fields(title: str, fields: Sequence[Field]) -> str:
    rows = [[f.name, forms.spelled(f), "yes" if f.nullable else "no", str(len(f.categories) or "")] for f in fields]
    return _section(title, ["column", "type", "may be missing", "categories"], rows)


def _section(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    lines = [header, ["---"] * len(header), *rows]
    table = "\n".join("| " + " | ".join(_plain(cell) for cell in line) + " |" for line in lines)
    return f"## {_plain(title)}\n\n{table}"


def _number(value: float) -> str:
    return f"{value:.6g}"


def _plain(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").replace("`", "'").replace("<", "&lt;")
