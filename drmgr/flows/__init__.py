"""The runbooks: what happens, in order. They know interfaces only."""
