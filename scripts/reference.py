"""Write the reference that is made from the code: docs/reference/usecases.md, settings.md.

python -m scripts.reference
"""

from __future__ import annotations

import inspect
from pathlib import Path

from everloop.app import areas
from everloop.app.settings import Settings, variable_of
from everloop.kernel.usecase import UseCase, published

FOLDER = Path(__file__).parents[1] / "docs" / "reference"


def usecases() -> str:
    """Every use case with its three doors."""
    areas.load_all()
    parts = ["# Use cases\n\nMade from the code by `make docs`. Each is one function behind three doors.\n"]
    for group, (_, line) in areas.GROUPS.items():
        members = [usecase for usecase in published().values() if usecase.group == group]
        if members:
            parts.append(f"## {group}\n\n{line}.\n")
            parts += [_usecase(member) for member in members]
    return "\n".join(parts)


def settings() -> str:
    """Every setting with its variable, default and meaning."""
    source = inspect.getsource(Settings).splitlines()
    lines = [
        "# Settings\n\nMade from the code by `make docs`. "
        "Arguments win over variables, variables over `everloop.toml`.\n"
    ]
    lines += ["| key | variable | default | meaning |", "|---|---|---|---|"]
    defaults = Settings()
    for key in Settings.__struct_fields__:
        at = next(number for number, line in enumerate(source) if line.strip().startswith(f"{key}:"))
        meaning = source[at + 1].strip().strip('"')
        lines.append(f"| `{key}` | `{variable_of(key)}` | `{getattr(defaults, key)!r}` | {meaning} |")
    return "\n".join(lines) + "\n"


def _usecase(usecase: UseCase) -> str:
    command = usecase.verb.replace("_", "-")
    described = (inspect.getdoc(usecase.function) or "").strip()
    return (
        f"### {usecase.name}\n\n{described}\n\n"
        f"`ever.{usecase.name}({usecase.signature_text if usecase.signature.parameters else ''})` · "
        f"`everloop {usecase.group} {command}` · `{usecase.method} /api/v1{usecase.path}` · "
        f"needs `{usecase.permission}`\n"
    )


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "usecases.md").write_text(usecases())
    (FOLDER / "settings.md").write_text(settings())
