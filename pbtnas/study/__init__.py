"""Many runs at once: their coordinators, their workers, and the reuse of equal jobs."""
