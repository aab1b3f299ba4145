"""Signed, chained documents and the reports rendered from them."""
