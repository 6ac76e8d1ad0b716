"""Networks: an architecture in, a module out."""
