"""The verbs: every Protocol behind one door. The comments are the contract; tests/contract/ holds each maker to it."""

from drmgr.interfaces.inplace import Place, SwapBook
from drmgr.interfaces.memory import Audit, CareBook, Catalog, Clock, Keystore, Locks, PointMemory, Progress, RestBook
from drmgr.interfaces.proofs import AcrossCheck, Canary, Check, EvidenceStore, IncidentNotes, Scratch, Workspace
from drmgr.interfaces.sources import Capture, Engine, LogShipper, Pause, Sink, SqlEngine, TreeEngine
from drmgr.interfaces.stores import (
    CaredRepository,
    Objects,
    Renewal,
    Repository,
    RepositoryFiles,
    RepositoryPasswords,
    Sealer,
    Shelf,
)
from drmgr.interfaces.tables import TableEngine

__all__ = [
    "AcrossCheck",
    "Audit",
    "Canary",
    "Capture",
    "CareBook",
    "CaredRepository",
    "Catalog",
    "Check",
    "Clock",
    "Engine",
    "EvidenceStore",
    "IncidentNotes",
    "Keystore",
    "Locks",
    "LogShipper",
    "Objects",
    "Pause",
    "Place",
    "PointMemory",
    "Progress",
    "Renewal",
    "Repository",
    "RepositoryFiles",
    "RepositoryPasswords",
    "RestBook",
    "Scratch",
    "Sealer",
    "Shelf",
    "Sink",
    "SqlEngine",
    "SwapBook",
    "TableEngine",
    "TreeEngine",
    "Workspace",
]
