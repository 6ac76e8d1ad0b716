"""Estimates what a run costs, from a few steps of some of its members."""
