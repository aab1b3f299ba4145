"""One module or folder per kind of source: how to back it up, load it, question it."""
