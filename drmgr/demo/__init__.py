"""A synthetic hospital to try everything on."""
