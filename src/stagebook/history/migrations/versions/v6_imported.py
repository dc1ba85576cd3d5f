"""Schema 6: which other system recorded a run. No run was imported before there was this."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "6"
down_revision = "5"


def upgrade() -> None:
    op.add_column("runs", sa.Column("imported", sa.String))
