"""The format on disk as data: names, records, heartbeats.  No I/O; see docs/protocol.md."""
