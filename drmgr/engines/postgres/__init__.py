"""PostgreSQL as a source: logical backup, restore, and the questions that prove both."""

from drmgr.engines.postgres.connection import PostgresConnection
from drmgr.engines.postgres.engine import PostgresEngine

__all__ = ["PostgresConnection", "PostgresEngine"]
