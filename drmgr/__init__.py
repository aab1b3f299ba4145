"""drmgr: backup, disaster-recovery and restore-drill orchestrator."""

__version__ = "0.1.0"
