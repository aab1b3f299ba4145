"""File trees: restic reads the folder itself; a manifest with hashes and metadata is stored beside it."""

from drmgr.engines.files.engine import FilesEngine
from drmgr.engines.files.settings import FactsMode, FileSystemSnapshot, TreeSettings

__all__ = ["FactsMode", "FileSystemSnapshot", "FilesEngine", "TreeSettings"]
