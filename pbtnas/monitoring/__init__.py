"""What a run is doing now, as data and as text.  Starts without torch."""
