"""A server that speaks TDS 7.4, for tests: real clients log in to it. It is no SQL Server, and knows only what drmgr says."""

from tests.support.tds.server import TdsServer

__all__ = ["TdsServer"]
