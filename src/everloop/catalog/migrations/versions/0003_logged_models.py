"""Models that MLflow's clients log before, or without, registering them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Forward: a table."""
    op.create_table(
        "logged_models",
        sa.Column("project", sa.String(length=128), nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("experiment", sa.String(length=128), nullable=False),
        sa.Column("run", sa.String(length=32), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("parameters", sa.Text(), nullable=False),
        sa.Column("tags", sa.Text(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("updated", sa.BigInteger(), nullable=False),
        sa.Column("deleted", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("project", "id", name=op.f("pk_logged_models")),
    )
    op.create_index("ix_logged_models_run", "logged_models", ["project", "run"], unique=False)


def downgrade() -> None:
    """Back: what clients logged is lost; its files stay until they are swept."""
    op.drop_index("ix_logged_models_run", table_name="logged_models")
    op.drop_table("logged_models")
