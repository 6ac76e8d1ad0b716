"""What is trained and scored: the task interface, the built-in tasks, and help for others."""
