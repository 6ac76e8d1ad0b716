"""The paper's searches for agents."""

from pbtnas.tasks.drqv2.task import DrQV2Task

__all__ = ["DrQV2Task"]
