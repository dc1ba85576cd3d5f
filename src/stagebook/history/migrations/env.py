"""What alembic runs to bring a database to a revision: on the connection that `history.store` hands over, in its turn.

There is no alembic.ini, and nothing here is imported by anybody else.
"""

from __future__ import annotations

from alembic import context

context.configure(connection=context.config.attributes["connection"], transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
