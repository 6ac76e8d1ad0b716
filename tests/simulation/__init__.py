"""The real worker and coordinator on a simulated directory, under every fault it knows."""
