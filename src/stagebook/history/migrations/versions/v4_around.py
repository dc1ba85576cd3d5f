"""Schema 4: what was around a run and the last attempt of a stage, what that one read and wrote, and how many stages of
a run ran.

Journals hold all of that, so each is to be read again; what is known of runs whose journals are gone stays as it is.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "4"
down_revision = "3"


def upgrade() -> None:
    op.add_column("runs", sa.Column("others_cores", sa.Float))
    op.add_column("runs", sa.Column("autogroup", sa.Boolean))
    op.add_column("runs", sa.Column("ran", sa.Integer))
    op.execute(
        "UPDATE runs SET ran = counted.number FROM"
        " (SELECT run_id, count(*) AS number FROM stages WHERE attempts > 0 GROUP BY run_id) AS counted"
        " WHERE counted.run_id = runs.id"
    )
    op.create_index("runs_file", "runs", ["file", "run"])
    op.add_column("stages", sa.Column("delay_us", sa.Integer))
    op.add_column("stages", sa.Column("others_cores", sa.Float))
    op.add_column("stages", sa.Column("device_busy", sa.Float))
    op.add_column("stages", sa.Column("read_bytes", sa.Integer))
    op.add_column("stages", sa.Column("write_bytes", sa.Integer))
    op.execute("UPDATE runs SET journal_size = -1, is_final = 0")
    op.execute("DELETE FROM meta WHERE key = 'runs_mtime_ns'")
