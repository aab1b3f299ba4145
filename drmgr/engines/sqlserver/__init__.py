"""SQL Server as a source: its own backups, their restore, the shipping of its log, and the questions that prove them."""

from drmgr.engines.sqlserver.connection import SqlServerConnection
from drmgr.engines.sqlserver.engine import SqlServerEngine
from drmgr.engines.sqlserver.shipper import SqlServerLogShipper

__all__ = ["SqlServerConnection", "SqlServerEngine", "SqlServerLogShipper"]
