"""The model card."""

from __future__ import annotations

from datetime import UTC, datetime

from everloop.catalog.entities import LineageEdge
from everloop.registry import card
from everloop.registry.entities import Approval, Field, Model, ModelVersion, Signature
from everloop.store.entities import Digest

AT = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
SIGNATURE = Signature((Field("carrier", "string", categories=("AA", "UA")),), (Field("probability", "float64"),))
TRAINED = Model(
    "lightgbm",
    Digest("a" * 64),
    SIGNATURE,
    features="delay",
    features_version=2,
    metrics={"roc_auc": 0.7123456789, "roc_auc[carrier=AA]": 0.6, "log_loss[carrier=AA]": 0.4},
)


def version(text: str) -> ModelVersion:
    return ModelVersion("delay", 3, TRAINED, "r1", text, AT)


def test_it_names_the_version_and_its_bytes() -> None:
    text = card.written("delay", 3, TRAINED, "retrained in March")
    assert text.startswith("# delay, version 3\n\nretrained in March\n")
    assert f"- Digest: `{'a' * 64}`" in text
    assert "- Features: `delay@2`" in text


def test_it_leaves_out_what_is_not_known() -> None:
    text = card.written("delay", 1, Model("sklearn", Digest("b" * 64), SIGNATURE))
    assert "Features" not in text
    assert "## Metrics" not in text


def test_slices_stand_in_a_table_of_their_own() -> None:
    overall, _, slices = card.written("delay", 3, TRAINED).partition("## By carrier")
    assert "| roc_auc | 0.712346 |" in overall
    assert "carrier=AA" not in overall
    assert "| AA | log_loss | 0.4 |\n| AA | roc_auc | 0.6 |" in slices


def test_a_slices_metric_is_named_as_the_card_reads_it() -> None:
    assert card.slice_metric("roc_auc", "carrier", "AA") in TRAINED.metrics


def test_inputs_stand_with_the_number_of_their_categories() -> None:
    assert "| carrier | string | yes | 2 |" in card.written("delay", 3, TRAINED)


def test_decisions_and_lineage_come_after_what_was_registered() -> None:
    approval = Approval("delay", 3, Digest("a" * 64), "ann", "approved", "good enough", {}, AT)
    edge = LineageEdge("model:p/delay@3", "run:p/r1", "made_by")
    text = card.completed(version("# Mine"), [approval], [edge])
    assert text.startswith("# Mine\n\n## Decisions")
    assert "| approved | ann | 2026-01-02 03:04 | good enough |" in text
    assert "| model:p/delay@3 | made by | run:p/r1 |" in text


def test_without_decisions_and_lineage_it_is_what_was_registered() -> None:
    assert card.completed(version("# Mine\n"), [], []) == "# Mine\n"


def test_what_people_wrote_cannot_break_a_table_or_bring_markup() -> None:
    hostile = "a | b\n## Fake <script>alert(1)</script>"
    approval = Approval("delay", 3, Digest("a" * 64), "ann", "approved", hostile, {}, AT)
    text = card.completed(version("# Mine"), [approval], [])
    assert "\n## Fake" not in text
    assert "<script" not in text
    assert "a \\| b" in text
