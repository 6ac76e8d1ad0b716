"""Breaks what is done about damage: reading, putting aside, computing again, and `pbtnas fsck`."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_READING = "pbtnas/protocol/reading.py"
_POSIX = "pbtnas/store/posix.py"
_COORDINATOR = "pbtnas/protocol/coordinator.py"
_CHAIN = "pbtnas/store/fsck/chain.py"
_MEMBERS = "pbtnas/store/fsck/members.py"
_EXAMINATION = "pbtnas/store/fsck/examination.py"
_UNREADABLE = "tests/protocol/test_unreadable.py"
_FOUND = "tests/store/test_damage_matrix.py::test_fsck_finds_the_damage"
_STORE = "tests/store/test_posix.py"
_FSCK = "tests/store/test_fsck.py"

MUTANTS = (
    Mutant(
        "record-under-another-name-accepted",
        "pbtnas/records/envelope.py",
        'if body.get("name", name) != name:',
        "if False:",
        ("tests/records/test_envelope.py",),
    ),
    Mutant(
        "unreadable-taken-for-absent",
        _POSIX,
        "return Unreadable(str(error))",
        "return None",
        (f"{_UNREADABLE}::test_a_store_tells_absent_from_unreadable",),
    ),
    Mutant(
        "directory-out-of-reach-taken-for-damage",
        "pbtnas/store/executing.py",
        "return Unreadable(trouble, passing=True)",
        "return Unreadable(trouble)",
        (f"{_UNREADABLE}::test_trouble_of_the_whole_directory_is_waited_for",),
    ),
    Mutant(
        "put-aside-after-one-try",
        _READING,
        "if tries == TRIES:",
        "if tries:",
        (f"{_UNREADABLE}::test_an_error_that_passes_is_no_damage",),
    ),
    Mutant(
        "put-aside-without-a-second-reading",
        _READING,
        "if again:",
        "if True:",
        (f"{_UNREADABLE}::test_a_bit_that_flips_on_the_way_is_no_damage",),
    ),
    Mutant(
        "unreadable-heartbeat-is-a-sign-of-life",
        "pbtnas/protocol/claims.py",
        "beat = self._changed[name][0] if name in self._changed else None",
        "beat = None",
        (f"{_UNREADABLE}::test_a_heartbeat_that_cannot_be_read_is_no_sign_of_life",),
    ),
    Mutant(
        "blob-not-written-again-after-a-failed-fsync",
        _POSIX,
        "self._write_again(source)\n",
        "pass\n",
        (f"{_STORE}::test_a_checkpoint_that_was_not_written_is_written_again",),
    ),
    Mutant(
        "best-ever-lost-but-finished",
        _COORDINATOR,
        "not (yield from self._await_champion(manifest, champion))",
        "False",
        (f"{_FSCK}::test_a_lost_best_member_is_computed_again_from_the_first_generation_on",),
    ),
    Mutant(
        "forged-end-adopted",
        _COORDINATOR,
        'if final.digest != Record("final", "", core).digest:',
        "if False:",
        (f"{_FSCK}::test_a_forged_end_of_a_run_is_not_adopted",),
    ),
    Mutant(
        "fsck-does-not-compare-the-chain",
        _CHAIN,
        "    _compare(x, chain, links)\n",
        "",
        (f"{_FOUND}[manifest-forged]",),
    ),
    Mutant(
        "fsck-blames-the-wrong-neighbour",
        _CHAIN,
        "blamed = [other if broken[i + 1] else one]",
        "blamed = [one]",
        (f"{_FOUND}[first manifest-forged]",),
    ),
    Mutant(
        "fsck-does-not-compare-the-end",
        _CHAIN,
        'if final.digest != Record("final", "", core).digest:',
        "if False:",
        (f"{_FOUND}[final-forged]",),
    ),
    Mutant(
        "fsck-does-not-compare-digests",
        _EXAMINATION,
        "if found.hexdigest() != digest:",
        "if False:",
        (f"{_FOUND}[last checkpoint-flip]",),
    ),
    Mutant(
        "fsck-does-not-compare-results",
        _MEMBERS,
        "elif result.to_json() != copy.to_json():",
        "elif False:",
        (f"{_FOUND}[result-forged]",),
    ),
    Mutant(
        "fsck-does-not-miss-the-best-member",
        _MEMBERS,
        "for best in chain.named:",
        "for best in chain.named[:0]:",
        (f"{_FSCK}::test_a_lost_best_member_is_found_by_fsck",),
    ),
    Mutant(
        "fsck-does-not-name-what-is-unknown",
        _EXAMINATION,
        'self.note(Fault(name, "unknown; nothing of this name belongs here", notice=True))',
        "return",
        (f"{_FSCK}::test_an_unknown_file_is_named_and_no_damage",),
    ),
)
