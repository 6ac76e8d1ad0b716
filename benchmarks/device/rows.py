"""What a section yields."""

Row = list[object]
"""Cells of JSON.  The last one is "WRONG" where the row shows what must not be."""
