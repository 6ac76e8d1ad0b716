"""Commands about algorithms."""

from __future__ import annotations

import sys

import click

from pbtnas.errors import ExitCode


@click.group()
def algorithm() -> None:
    """Algorithms: how the next generation is made."""


@algorithm.command("list")
def list_algorithms() -> None:
    """What `search.algorithm` may be: ours, and those that other packages install."""
    from pbtnas.config.schema import algorithm_names

    for name in algorithm_names():
        click.echo(name)


@algorithm.command("check")
@click.argument("name")
def check_algorithm(name: str) -> None:
    """Try an algorithm out on made-up populations, and say what the engine could not use."""
    from pbtnas.config.algorithms import BrokenAlgorithm, load_algorithm
    from pbtnas.search.contract import faults

    try:
        found = faults(load_algorithm(name))
    except BrokenAlgorithm as error:  # here it is a finding, as what `faults` returns
        found = [str(error)]
    for sentence in found:
        click.echo(sentence)
    if found:
        sys.exit(ExitCode.FAILED)
    click.echo(f"{name} keeps the contract")
