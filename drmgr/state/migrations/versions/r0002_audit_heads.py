"""The heads of the audit logs."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Makes the table."""
    op.create_table(
        "audit_heads",
        sa.Column("host", sa.Text, primary_key=True),
        sa.Column("log", sa.Text, nullable=False),
        sa.Column("sequence", sa.Integer, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("anchored_at", sa.Text),
    )
