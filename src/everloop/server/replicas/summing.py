"""The metrics of several processes as those of one, for a scraper that reaches any of them."""

from __future__ import annotations

from collections.abc import Iterable


class Family:
    """A metric in Prometheus's text format: its description, its kind, and its samples in their order."""

    def __init__(self, about: str, kind: str) -> None:
        self.about = about
        self.kind = kind
        self.samples: dict[str, float] = {}


def summed(texts: Iterable[tuple[str, str]]) -> str:
    """One text of several, each with its worker's number: counts are added up, a gauge is shown for each worker.

    A text without a number is of workers that are gone: what they counted is kept, what they showed is not.
    """
    families: dict[str, Family] = {}
    for worker, text in texts:
        _add(families, worker, text)
    lines: list[str] = []
    for name, family in families.items():
        lines += [f"# HELP {name} {family.about}", f"# TYPE {name} {family.kind}"]
        lines += [f"{sample} {_number(value)}" for sample, value in family.samples.items()]
    return "\n".join(lines) + "\n"


def _add(families: dict[str, Family], worker: str, text: str) -> None:
    family, about = Family("", "untyped"), ""
    for line in text.splitlines():
        if line.startswith("# HELP "):
            about = line.split(" ", 3)[3]
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ", 3)
            family = families.setdefault(name, Family(about, kind))
        elif line:
            sample, _, value = line.rpartition(" ")
            if family.kind != "gauge":
                family.samples[sample] = family.samples.get(sample, 0.0) + float(value)
            elif worker:
                family.samples[_labelled(sample, worker)] = float(value)


def _labelled(sample: str, worker: str) -> str:
    name, brace, labels = sample.partition("{")
    return f'{name}{{worker="{worker}",{labels}' if brace else f'{name}{{worker="{worker}"}}'


def _number(value: float) -> str:
    return str(int(value)) if value.is_integer() else repr(value)
