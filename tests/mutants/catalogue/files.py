"""Breaks the directory: publishing, syncing, reading, digests, layers, products, trash."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_POSIX = "pbtnas/store/posix.py"
_ENVELOPE = "pbtnas/records/envelope.py"
_LAYERS = "pbtnas/checkpoints/layers.py"
_ONE_PASS = "pbtnas/checkpoints/one_pass.py"
_FILES = "pbtnas/checkpoints/files.py"
_PRODUCTS = "pbtnas/store/products.py"
_CLIENT = "pbtnas/store/bucket/client.py"
_BUCKET = "tests/store/test_bucket.py"
_STORE = "tests/store/test_posix.py"
_DURABLE = "tests/store/test_durability.py"
_RECORDS = "tests/records/test_envelope.py"
_CHECKPOINTS = "tests/checkpoints/test_files.py"

MUTANTS = (
    Mutant(
        "record-published-without-fsync",
        _POSIX,
        "            if durable:\n                os.fsync(fd)\n",
        "",
        (_DURABLE,),
    ),
    Mutant(
        "name-of-a-record-not-synced",
        _POSIX,
        """\
        elif durable:
            self._sync(_parent(name))
""",
        "",
        (_DURABLE,),
    ),
    Mutant(
        "grouped-names-never-synced",
        _POSIX,
        "        self.settle(now_s)\n",
        "",
        (_DURABLE,),
    ),
    Mutant(
        "grouped-names-not-synced-at-the-end",
        _POSIX,
        "        self.settle()\n        self.touch()\n",
        "        self.touch()\n",
        (_DURABLE,),
    ),
    Mutant(
        "grouped-name-forgotten-after-an-error",
        _POSIX,
        "                self._unsynced[directory] = time.monotonic() + AGAIN_S\n",
        "                self._unsynced.pop(directory)\n",
        (_DURABLE,),
    ),
    Mutant(
        "inside-of-a-record-directory-not-synced",
        _POSIX,
        "            if durable:\n                self._sync(private)\n",
        "",
        (_DURABLE,),
    ),
    Mutant(
        "blob-published-without-fsync",
        _POSIX,
        """\
            os.fsync(fd)
            self._unwritten""",
        "            self._unwritten",
        (_DURABLE,),
    ),
    Mutant(
        "name-of-a-blob-not-synced",
        _POSIX,
        "  # still there if both names were of one file already\n"
        "        self._sync(_parent(name))\n",
        "\n",
        (_DURABLE, _STORE),
    ),
    Mutant(
        "directories-of-a-generation-not-synced",
        _POSIX,
        "        self._sync(directory)\n        self._sync(_parent(directory))\n",
        "        self._sync(directory)\n",
        (_DURABLE,),
    ),
    Mutant(
        "record-replaced",
        _POSIX,
        """\
                os.link(
                    private, name, src_dir_fd=self._fd, dst_dir_fd=self._fd, follow_symlinks=False
                )
""",
        "                os.rename(private, name, src_dir_fd=self._fd, dst_dir_fd=self._fd)\n",
        (_STORE,),
    ),
    Mutant(
        "lost-reply-is-a-lost-race",
        _POSIX,
        "won = self._inode(name) == self._inode(private)",
        "won = False",
        (_STORE,),
    ),
    Mutant(
        "equal-length-is-won",
        _POSIX,
        "return self.get(name) == data",
        "return len(self.get(name) or b'') == len(data)",
        (_STORE,),
    ),
    Mutant(
        "error-taken-for-lost",
        "pbtnas/store/executing.py",
        "return Published.ERROR",
        "return Published.LOST",
        (_STORE,),
    ),
    Mutant(
        "own-record-in-a-bucket-taken-for-anothers",
        _CLIENT,
        "return found == data",
        "return False",
        (_BUCKET,),
    ),
    Mutant(
        "conflict-in-a-bucket-taken-for-a-lost-race",
        _CLIENT,
        'raise OSError(CONFLICT, "writes of this name are in conflict", f"{self.url}/{name}")',
        "return False",
        (_BUCKET,),
    ),
    Mutant(
        "damaged-copy-puts-the-object-aside",
        "pbtnas/store/bucket/store.py",
        "if self.fetch(name).read_bytes() != before:",
        "if False:",
        (_BUCKET,),
    ),
    Mutant(
        "bucket-without-conditional-put-accepted",
        "pbtnas/store/bucket/checking.py",
        "    if not first or second:",
        "    if not first:",
        (_BUCKET,),
    ),
    Mutant(
        "short-writes-believed",
        _POSIX,
        "            while rest:\n",
        "            if rest:\n",
        (_STORE,),
    ),
    Mutant(
        "quarantine-replaces-the-evidence",
        _POSIX,
        'aside = f"{name}.corrupt-{self._writer}-{next(self._count)}"',
        'aside = f"{name}.corrupt-{self._writer}"',
        (_STORE,),
    ),
    Mutant(
        "quarantine-deletes",
        _POSIX,
        "            os.rename(name, aside, src_dir_fd=self._fd, dst_dir_fd=self._fd)\n"
        "        except FileNotFoundError:\n            return  # somebody else was quicker",
        "            os.unlink(name, dir_fd=self._fd)\n"
        "        except FileNotFoundError:\n            return  # somebody else was quicker",
        (_STORE,),
    ),
    Mutant(
        "discard-takes-what-is-kept",
        _POSIX,
        'name.removesuffix(".safetensors") in keep',
        "name in keep",
        (_STORE,),
    ),
    Mutant(
        "snapshots-are-never-discarded",
        _POSIX,
        'if name.startswith(("snapshot-", paths.PRIVATE)):',
        "if name.startswith(paths.PRIVATE):",
        (_STORE,),
    ),
    Mutant(
        "heartbeat-by-replacing",
        _POSIX,
        "        try:\n            os.pwrite",
        "        os.close(fd)\n"
        "        self._unlink(name)\n"
        "        fd = os.open(name, flags, 0o644, dir_fd=self._fd)\n"
        "        try:\n            os.pwrite",
        (_STORE,),
    ),
    Mutant(
        "checksum-not-compared",
        _ENVELOPE,
        "intact = digest(body) == checksum",
        "intact = bool(checksum)",
        (_RECORDS,),
    ),
    Mutant(
        "record-of-another-run-accepted",
        _ENVELOPE,
        'if run is not None and body["run"] != run:',
        "if False:",
        (_RECORDS,),
    ),
    Mutant(
        "record-of-another-kind-accepted",
        _ENVELOPE,
        'if body["kind"] != kind:',
        "if False:",
        (_RECORDS,),
    ),
    Mutant(
        "meta-enters-the-chain",
        _ENVELOPE,
        "return digest([self.kind, self.core])",
        "return digest([self.kind, self.core, self.meta])",
        (_RECORDS,),
    ),
    Mutant(
        "digest-not-compared",
        _ONE_PASS,
        "if found != digest:",
        "if len(found) != len(digest):",
        (_CHECKPOINTS,),
    ),
    Mutant(
        "digest-of-a-parent-not-compared",
        _FILES,
        "        finally:\n            file.check(digest)\n",
        "        finally:\n            pass\n",
        (_CHECKPOINTS,),
    ),
    Mutant(
        "first-chunk-hashed-alone",
        _FILES,
        "                digest.update(content[begin : begin + CHUNK])\n",
        "                if not begin:\n"
        "                    digest.update(content[begin : begin + CHUNK])\n",
        (_CHECKPOINTS,),
    ),
    Mutant(
        "base-over-overlay",
        _LAYERS,
        "for i, file in enumerate(files):",
        "for i, file in reversed(list(enumerate(files))):",
        (_CHECKPOINTS,),
    ),
    Mutant(
        "overlay-without-base-accepted",
        _LAYERS,
        'if "tensors" in files[-1].header.metadata:',
        "if False:",
        (_CHECKPOINTS,),
    ),
    Mutant(
        "newer-format-of-checkpoints-accepted",
        _ONE_PASS,
        "if version != FORMAT:",
        "if False:",
        (_CHECKPOINTS,),
    ),
    Mutant(
        "second-product-believed",
        _PRODUCTS,
        "        return found\n\n    def lookup",
        "        return data\n\n    def lookup",
        ("tests/store/test_products.py",),
    ),
    Mutant(
        "damaged-product-believed",
        _PRODUCTS,
        "if hashlib.sha256(data).hexdigest().encode() != digest:",
        "if len(digest) != _DIGEST_LENGTH:",
        ("tests/store/test_products.py",),
    ),
    Mutant(
        "trash-of-this-generation-deleted",
        "pbtnas/store/trash.py",
        "int(directory.name) < before)",
        "int(directory.name) <= before)",
        ("tests/store/test_trash.py",),
    ),
)
