"""Quantities: `500m` cores and `256Mi` of memory, read and written."""

from __future__ import annotations

import re
from decimal import Decimal
from math import ceil

from everloop.kernel.errors import InvalidInput

_CPU = re.compile(r"(?P<number>[0-9]{1,9}(?:\.[0-9]{1,3})?)(?P<unit>m?)")
_MEMORY = re.compile(r"(?P<number>[0-9]{1,15}(?:\.[0-9]{1,3})?)(?P<unit>Ki|Mi|Gi|Ti|k|M|G|T)?")
_BYTES = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "": 1}
_LEAST_MEMORY, _MOST_MEMORY, _MOST_CPU = 16, 2**24, 1_024_000


def cpu_of(text: str) -> int:
    """Thousandths of a core.

    Raises:
        InvalidInput: it is no quantity, or none that a machine has.

    >>> cpu_of("500m"), cpu_of("1.5")
    (500, 1500)
    """
    match = _CPU.fullmatch(text)
    millis = ceil(Decimal(match["number"]) * (1 if match["unit"] else 1000)) if match else 0
    if not 1 <= millis <= _MOST_CPU:
        raise InvalidInput(f"{text!r} is no number of cores.", hint="Write it like 500m or 1.5.")
    return millis


def memory_of(text: str) -> int:
    """MiB, rounded up.

    Raises:
        InvalidInput: it is no quantity, or none that a model runs in.

    >>> memory_of("1Gi"), memory_of("500M")
    (1024, 477)
    """
    match = _MEMORY.fullmatch(text)
    mebibytes = ceil(Decimal(match["number"]) * _BYTES[match["unit"] or ""] / 2**20) if match else 0
    if not _LEAST_MEMORY <= mebibytes <= _MOST_MEMORY:
        raise InvalidInput(f"{text!r} is no amount of memory for a model.", hint="Write it like 256Mi or 2Gi.")
    return mebibytes


def cpu_text(millis: int) -> str:
    """Thousandths of a core as Kubernetes has them.

    >>> cpu_text(2000), cpu_text(250)
    ('2', '250m')
    """
    return f"{millis // 1000}" if millis % 1000 == 0 else f"{millis}m"


def memory_text(mebibytes: int) -> str:
    """MiB as Kubernetes has them.

    >>> memory_text(1024), memory_text(192)
    ('1Gi', '192Mi')
    """
    return f"{mebibytes // 1024}Gi" if mebibytes % 1024 == 0 else f"{mebibytes}Mi"
