"""Wrapped secrets of one site."""
