"""Copies, expired points, data that were read back."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Makes the tables."""
    op.create_table(
        "copied",
        sa.Column("copy", sa.Text, primary_key=True),
        sa.Column("seal", sa.Text, primary_key=True),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("system", sa.Text, nullable=False),
        sa.Column("created_at", sa.Text, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("copied_at", sa.Text, nullable=False),
    )
    op.create_table(
        "expired",
        sa.Column("place", sa.Text, primary_key=True),
        sa.Column("seal", sa.Text, primary_key=True),
        sa.Column("system", sa.Text, nullable=False),
        sa.Column("point", sa.Text, nullable=False),
        sa.Column("expired_at", sa.Text, nullable=False),
    )
    op.create_table(
        "readbacks",
        sa.Column("place", sa.Text, primary_key=True),
        sa.Column("system", sa.Text, primary_key=True),
        sa.Column("groups", sa.Integer, primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("read_at", sa.Text, nullable=False),
        sa.Column("sound", sa.Integer, nullable=False),
    )
