"""How `history.db` came to its tables, revision by revision, for alembic. What was released never changes."""
