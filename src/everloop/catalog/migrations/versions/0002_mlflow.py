"""What MLflow's clients keep: titles and tags of experiments, deletion, sources of versions, tags of models."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Forward: columns with defaults, so that the rows that are there stay as they are."""
    op.create_table(
        "model_tags",
        sa.Column("project", sa.String(length=128), nullable=False),
        sa.Column("model", sa.String(length=128), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("key", sa.String(length=250), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project", "model"], ["models.project", "models.name"], name=op.f("fk_model_tags_project_model")
        ),
        sa.PrimaryKeyConstraint("project", "model", "version", "key", name=op.f("pk_model_tags")),
    )
    op.add_column("experiments", sa.Column("title", sa.Text(), server_default="", nullable=False))
    op.add_column("experiments", sa.Column("tags", sa.Text(), server_default="{}", nullable=False))
    op.add_column("experiments", sa.Column("location", sa.Text(), server_default="", nullable=False))
    op.add_column("experiments", sa.Column("deleted", sa.BigInteger(), nullable=True))
    op.add_column("model_versions", sa.Column("source", sa.Text(), server_default="", nullable=False))
    op.add_column("runs", sa.Column("deleted", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    """Back: what those columns held is lost."""
    op.drop_column("runs", "deleted")
    op.drop_column("model_versions", "source")
    op.drop_column("experiments", "deleted")
    op.drop_column("experiments", "location")
    op.drop_column("experiments", "tags")
    op.drop_column("experiments", "title")
    op.drop_table("model_tags")
