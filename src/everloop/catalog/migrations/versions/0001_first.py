"""The first tables (during development: whatever the areas declare)."""

from __future__ import annotations

from alembic import op

from everloop.catalog.schema import metadata

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Forward."""
    metadata.create_all(op.get_bind())


def downgrade() -> None:
    """Back."""
    metadata.drop_all(op.get_bind())
