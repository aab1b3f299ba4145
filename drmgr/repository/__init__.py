"""Encrypted repositories: restic as a subprocess, and the object store beneath it."""
