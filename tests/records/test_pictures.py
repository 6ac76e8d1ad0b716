"""What may be kept as a preview: small pictures that a browser shows."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from pbtnas.records.pictures import MOST_BYTES, suffix_of, unfit


@pytest.mark.parametrize(
    ("form", "suffix"), [("PNG", "png"), ("JPEG", "jpg"), ("GIF", "gif"), ("WEBP", "webp")]
)
def test_a_picture_is_known_by_its_first_bytes(form: str, suffix: str) -> None:
    """The suffix of its file is that of its form, whatever the task calls it."""
    made = io.BytesIO()
    Image.new("RGB", (8, 8)).save(made, form)

    assert suffix_of(made.getvalue()) == suffix
    assert unfit(made.getvalue()) is None


@pytest.mark.parametrize(
    ("preview", "why"),
    [
        ("a picture", "a value of type 'str', expected the bytes of a picture"),
        (b"<svg>", "no picture, expected the bytes of a PNG, JPEG, GIF or WebP"),
        (b"GIF8" + bytes(MOST_BYTES), "262,148 bytes long, expected at most 262,144"),
    ],
)
def test_what_cannot_be_kept_is_told(preview: object, why: str) -> None:
    """One phrase says what it is and what was expected."""
    assert unfit(preview) == why
