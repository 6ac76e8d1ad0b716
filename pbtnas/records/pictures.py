"""Tells by its first bytes what a picture is, and whether it is small enough to be kept."""

from __future__ import annotations

MOST_BYTES = 256 << 10
"""Of one preview: there is one for each member and generation."""

_SUFFIXES = {b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpg", b"GIF8": "gif"}
_RIFF, _WEBP = b"RIFF", b"WEBP"


def suffix_of(data: bytes) -> str | None:
    """The suffix of a PNG, JPEG, GIF or WebP; None for anything else."""
    if data[:4] == _RIFF and data[8:12] == _WEBP:
        return "webp"
    return next((suffix for begin, suffix in _SUFFIXES.items() if data.startswith(begin)), None)


def unfit(preview: object) -> str | None:
    """Why a preview cannot be kept, in words; None if it can."""
    if not isinstance(preview, bytes):
        return f"a value of type {type(preview).__name__!r}, expected the bytes of a picture"
    if suffix_of(preview) is None:
        return "no picture, expected the bytes of a PNG, JPEG, GIF or WebP"
    if len(preview) > MOST_BYTES:
        return f"{len(preview):,} bytes long, expected at most {MOST_BYTES:,}"
    return None
