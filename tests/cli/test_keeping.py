"""What runs keep is declared in everloop.toml, and `everloop apply` puts it in force."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Everloop

WEEK = '[retention.usual]\ncheckpoints = 3\ndeleted_for = "7d"\n'
Says = Callable[[str], None]


@pytest.fixture
def says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Says:
    """Writes the `everloop.toml` of the folder that commands work in."""
    monkeypatch.chdir(tmp_path)

    def write(text: str) -> None:
        (tmp_path / "everloop.toml").write_text(text)

    return write


def policies(bare: Everloop) -> dict[str, int]:
    """How many checkpoints stay by each declared policy."""
    listed = bare("retention", "list", "--json").json
    return {it["name"]: it["rules"]["checkpoints"] for it in listed if it["declared"]}


def test_applying_puts_policies_in_force_and_takes_back_what_is_declared_no_more(bare: Everloop, says: Says) -> None:
    says(WEEK)
    assert "retention policy usual" in bare("apply").out
    assert policies(bare) == {"usual": 3}
    says(WEEK.replace("usual", "other"))
    bare("apply")
    assert policies(bare) == {"other": 3}
    says("")
    bare("apply")
    assert policies(bare) == {}


def test_rules_that_cannot_be_meant_change_nothing(bare: Everloop, says: Says) -> None:
    says(WEEK)
    bare("apply")
    says(WEEK.replace("= 3", "= 0"))
    assert bare("apply").code == 2
    assert policies(bare) == {"usual": 3}
