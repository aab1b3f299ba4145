"""How people bring a system back: the questions, the plan, the targets, the end."""
