"""Conducts many runs at once: drives their coordinators and workers, copies what is reused."""
