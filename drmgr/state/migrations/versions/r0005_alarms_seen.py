"""When each alarm's problem was seen last: one that comes and goes is over only when it stays away."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Adds the column; of older alarms it is not known."""
    op.add_column("alarms", sa.Column("seen_at", sa.Text))
