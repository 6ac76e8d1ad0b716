"""The tasks of weight sharing: networks of the space of 64 alone, and supernets of it."""

from pbtnas.tasks.weight_sharing.cell64 import Cell64Task
from pbtnas.tasks.weight_sharing.supernet import SupernetTask

__all__ = ["Cell64Task", "SupernetTask"]
