"""Alembic loads this file to run the steps on the connection, and in the transaction, that drmgr.state.database opened."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
