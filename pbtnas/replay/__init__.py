"""Trains the ancestry of a member again, alone, and compares it with what the run recorded."""
