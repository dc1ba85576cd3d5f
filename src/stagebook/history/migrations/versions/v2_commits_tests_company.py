"""Schema 2: the commit of a run, how much company an attempt had, and test cases.

Journals hold all of that, so each is to be read again; what is known of runs whose journals are gone stays as it is.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2"
down_revision = "1"


def upgrade() -> None:
    op.add_column("runs", sa.Column("commit_sha", sa.String))
    op.add_column("runs", sa.Column("branch", sa.String))
    op.add_column("runs", sa.Column("dirty", sa.Boolean))
    op.add_column("stages", sa.Column("company", sa.Float))
    op.add_column("attempts", sa.Column("company", sa.Float))
    op.create_table(
        "tests",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("run_id", sa.Integer, nullable=False),
        sa.Column("stage", sa.String, nullable=False),
        sa.Column("attempt", sa.Integer),
        sa.Column("shard", sa.String),
        sa.Column("classname", sa.String, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("file", sa.String),
        sa.Column("outcome", sa.String, nullable=False),
        sa.Column("seconds", sa.Float),
        sa.Column("message", sa.String),
        sa.Column("commit_sha", sa.String),
    )
    op.create_index("tests_run", "tests", ["run_id"])
    op.create_index("tests_case", "tests", ["classname", "name", "commit_sha", "outcome"])
    op.execute("UPDATE runs SET journal_size = -1, is_final = 0")
    op.execute("DELETE FROM meta WHERE key = 'runs_mtime_ns'")
