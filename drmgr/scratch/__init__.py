"""Throw-away instances: private, without network, always destroyed."""
