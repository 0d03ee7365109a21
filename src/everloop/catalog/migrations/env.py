"""What Alembic runs to migrate: over the connection that `upgrade` hands in, inside its transaction."""

from __future__ import annotations

from typing import Any, Literal

from alembic import context
from sqlalchemy.types import String, TypeDecorator

from everloop.catalog.schema import metadata


def _plain(kind: str, item: Any, _context: Any) -> str | Literal[False]:
    """Migrations name plain SQL types, so that they stay as they are when our own types change."""
    if kind == "type" and isinstance(item, TypeDecorator) and type(item).__module__.startswith("everloop."):
        return f"sa.{item.impl_instance!r}"
    return False


def _longer(_context: Any, _found: Any, _declared: Any, found: Any, declared: Any) -> bool:
    """Of types only that a text may be longer is looked at: others show differently in each database."""
    both = isinstance(found, String) and isinstance(declared, String)
    return both and 0 < (found.length or 0) < (declared.length or 0)


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_item=_plain,
    compare_type=_longer,
    render_as_batch=True,  # SQLite drops a constraint only by making the table anew.
)
context.run_migrations()
