"""Schema 5: whether a run was of a part of its pipeline.

That some stages were not selected is in the rows of stages; that of items only those were done that had failed is in
journals alone, so each is to be read again.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "5"
down_revision = "4"


def upgrade() -> None:
    op.add_column("runs", sa.Column("part", sa.Boolean))
    op.execute("UPDATE runs SET part = id IN (SELECT run_id FROM stages WHERE reason = 'not selected')")
    op.execute("UPDATE runs SET journal_size = -1, is_final = 0")
    op.execute("DELETE FROM meta WHERE key = 'runs_mtime_ns'")
