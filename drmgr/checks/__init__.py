"""Proofs on restored data."""
