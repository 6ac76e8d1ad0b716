"""Numbers, figures and reports of runs and studies.  Starts without torch."""
