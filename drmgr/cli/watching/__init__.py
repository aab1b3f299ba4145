"""How everything stands: status, alarms, metrics."""
