"""The training process: torch and the task, one job after the other."""
