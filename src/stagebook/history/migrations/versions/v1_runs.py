"""Schema 1: runs, their stages and attempts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "1"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "runs",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("run", sa.String, nullable=False, unique=True),
        *(sa.Column(name, sa.String) for name in ("pipeline", "file", "format", "digest", "mode")),
        sa.Column("jobs", sa.Integer),
        *(sa.Column(name, sa.String) for name in ("policy", "outcome", "reason")),
        sa.Column("is_final", sa.Boolean, nullable=False),
        *(sa.Column(name, sa.Integer) for name in ("started_us", "finished_us", "wall_us", "critical_path_us")),
        *(sa.Column(name, sa.Integer) for name in ("sum_us", "cpu_us", "max_parallel", "stages")),
        sa.Column("damaged", sa.String),
        *(sa.Column(name, sa.Integer, nullable=False) for name in ("journal_size", "journal_ino", "journal_mtime_ns")),
    )
    op.create_index("runs_started", "runs", ["started_us"])
    op.create_index("runs_open", "runs", ["is_final"], sqlite_where=sa.text("is_final = 0"))
    op.create_table(
        "stages",
        sa.Column("stage", sa.String, primary_key=True),
        sa.Column("run_id", sa.Integer, primary_key=True),
        *(sa.Column(name, sa.String) for name in ("outcome", "reason")),
        sa.Column("flaky", sa.Boolean, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        *(sa.Column(name, sa.Integer) for name in ("started_us", "wall_us", "wait_us")),
        sa.Column("waited", sa.String),
        *(sa.Column(name, sa.Integer) for name in ("work_us", "cpu_us", "rss_bytes")),
        sqlite_with_rowid=False,
    )
    op.create_index("stages_run", "stages", ["run_id"])
    op.create_table(
        "attempts",
        sa.Column("run_id", sa.Integer, primary_key=True),
        sa.Column("stage", sa.String, primary_key=True),
        sa.Column("attempt", sa.Integer, primary_key=True),
        *(sa.Column(name, sa.String) for name in ("outcome", "reason")),
        *(sa.Column(name, sa.Integer) for name in ("exit", "signal", "started_us", "wall_us", "wait_us")),
        sa.Column("waited", sa.String),
        *(sa.Column(name, sa.Integer) for name in ("cpu_us", "rss_bytes")),
        sa.Column("rss_method", sa.String),
        *(sa.Column(name, sa.Integer) for name in ("read_bytes", "write_bytes")),
        *(sa.Column(name, sa.String) for name in ("method", "log")),
        sa.Column("taken_back", sa.Boolean, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "meta",
        sa.Column("key", sa.String, primary_key=True),
        sa.Column("value", sa.String, nullable=False),
        sqlite_with_rowid=False,
    )
