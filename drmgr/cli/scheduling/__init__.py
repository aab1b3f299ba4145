"""What runs when, and who starts it."""
