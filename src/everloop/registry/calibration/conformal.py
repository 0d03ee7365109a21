"""Split-conformal intervals: from residuals on rows that a model has not seen, without a word about their distribution.

Vovk, Gammerman, Shafer: Algorithmic Learning in a Random World (2005); Lei, G'Sell, Rinaldo, Tibshirani, Wasserman:
Distribution-Free Predictive Inference for Regression (JASA 2018).
"""

from __future__ import annotations

from math import ceil, inf

import numpy as np


def margin_of(truth: np.ndarray, answers: np.ndarray, alpha: float) -> float:
    """How far the truth may lie from an answer: of a further row like these it does not with probability 1 - alpha.

    It is the ceil((n + 1)(1 - alpha))-th smallest residual; infinite when there are too few rows to say.
    """
    residuals = np.abs(np.asarray(truth, dtype=np.float64) - np.asarray(answers, dtype=np.float64))
    rank = ceil((len(residuals) + 1) * (1 - alpha) - 1e-9)  # 10 * (1 - 0.1) is a little more than 9 in binary.
    return float(np.partition(residuals, rank - 1)[rank - 1]) if rank <= len(residuals) else inf
