"""MariaDB as a source: logical backup, restore, and the questions that prove both."""

from drmgr.engines.mariadb.connection import MariadbConnection
from drmgr.engines.mariadb.engine import MariadbEngine

__all__ = ["MariadbConnection", "MariadbEngine"]
