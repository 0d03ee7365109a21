"""What skops is used for: its files come out equal for equal models, and importing it imports no library of tensors."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from everloop.backends.flavors import skopsfile

ROWS = np.random.default_rng(0).normal(size=(60, 3))
LABELS = ROWS[:, 0] > 0


def trained() -> Any:
    """Trees, which hold arrays and parts that are used twice."""
    from sklearn.ensemble import GradientBoostingClassifier

    return GradientBoostingClassifier(n_estimators=3, random_state=0).fit(ROWS, LABELS)


def test_equal_models_have_equal_bytes() -> None:
    assert skopsfile.written(trained()) == skopsfile.written(trained())


def test_skops_itself_reads_what_is_written() -> None:
    model, data = trained(), skopsfile.written(trained())
    skops = skopsfile.library()
    again = skops.loads(data, trusted=skops.get_untrusted_types(data=data))
    assert np.array_equal(again.predict_proba(ROWS), model.predict_proba(ROWS))


@pytest.mark.slow
def test_importing_skops_imports_no_pytorch_and_hides_nothing_afterwards() -> None:
    pytest.importorskip("torch", reason="where PyTorch is not installed, nothing could import it")
    body = """
import sys
from everloop.backends.flavors import skopsfile
skopsfile.library()
print("torch" in sys.modules)
from sklearn.externals.array_api_compat import torch
print(torch.asarray([1.0]).numpy())
"""
    told = subprocess.run([sys.executable, "-c", body], capture_output=True, text=True, check=True).stdout
    assert told.split("\n")[:2] == ["False", "[1.]"]
