"""Breaks the look at images of one's own: digests, other machines, what is kept decoded."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_IMAGES = "pbtnas/data/images.py"
_FOLDER = "pbtnas/data/folder.py"
_REAL = "pbtnas/tasks/gan/images.py"
_SCORING = "pbtnas/tasks/gan/scoring.py"
_ARRAYS = "tests/data/test_looking.py"
_FOLDERS = "tests/data/test_folder.py"
_TASK = "tests/tasks/test_gan_images.py"

MUTANTS = (
    Mutant(
        "typed-digest-of-images-believed",
        _IMAGES,
        'object.__setattr__(self, "digest", pixel_digest(self.images))',
        'object.__setattr__(self, "digest", self.digest or pixel_digest(self.images))',
        (_ARRAYS,),
    ),
    Mutant(
        "machine-with-other-images-works",
        _REAL,
        "    if theirs != ours:\n",
        "    if False:\n",
        (_TASK,),
    ),
    Mutant(
        "pixels-of-the-run-not-published",
        _SCORING,
        "            same_images(run, trained, publish=True)\n",
        "            pass\n",
        (_TASK,),
    ),
    Mutant(
        "older-run-gets-another-product",
        _SCORING,
        "same_images(run, trained, publish=False)",
        "same_images(run, trained, publish=True)",
        (_TASK,),
    ),
    Mutant(
        "decoded-images-kept-by-name-only",
        _FOLDER,
        "list(zip(listing.files, digests, strict=True))]",
        "list(listing.files)]",
        (_FOLDERS,),
    ),
    Mutant(
        "content-that-changed-is-decoded",
        _FOLDER,
        "    if hashlib.sha256(data).hexdigest() != digest:\n",
        "    if False:\n",
        (_FOLDERS,),
    ),
)
