"""From the configuration to the concrete parts."""
