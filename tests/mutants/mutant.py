"""Describes a mutant: one deliberate break, and the tests that must notice it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """One deliberate break of the code.

    Args:
        name: What is broken, in a few words with hyphens; unique.
        file: File that is changed, relative to the repository.
        old: Text that occurs exactly once in it.
        new: Text in its place.
        tests: Tests that must notice, as pytest is given them.
        harmless: Reason why no test can notice: the design makes up for it.  Empty where a test
            must.
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    harmless: str = ""

    @property
    def module(self) -> str:
        return self.file.removesuffix(".py").replace("/", ".")

    def apply(self, text: str) -> str:
        """The mutated content of its file.

        Raises `Outdated` when the old text is not there exactly once, or when the new one is no
        Python.
        """
        found = text.count(self.old)
        if found != 1:
            raise Outdated(f"{self.name}: its old text occurs {found} times in {self.file}")
        mutated = text.replace(self.old, self.new)
        try:
            compile(mutated, self.file, "exec", dont_inherit=True)
        except SyntaxError as error:
            raise Outdated(f"{self.name}: does not compile: {error}") from None
        return mutated


class Outdated(Exception):
    """A mutant does not fit the code any more; one sentence naming it."""
