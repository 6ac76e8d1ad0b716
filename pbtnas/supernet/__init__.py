"""Weight sharing: one network that holds every operation of a space, run as one of its subnets."""
