"""Schema 3: of which suite a shard's test cases are, and when a journal's file last changed in any way.

Journals are to be read again, and with them the reports beside them; what is known of runs whose journals are gone
stays as it is.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "3"
down_revision = "2"


def upgrade() -> None:
    op.add_column("runs", sa.Column("journal_ctime_ns", sa.Integer))
    op.add_column("tests", sa.Column("suite", sa.String))
    op.execute("UPDATE runs SET journal_size = -1, is_final = 0")
    op.execute("DELETE FROM meta WHERE key = 'runs_mtime_ns'")
