"""The tasks of weight sharing: networks of two small spaces alone, and supernets of either."""

from pbtnas.tasks.weight_sharing.cell64 import Cell64Task
from pbtnas.tasks.weight_sharing.nb201 import Nb201Task
from pbtnas.tasks.weight_sharing.supernet import SupernetTask

__all__ = ["Cell64Task", "Nb201Task", "SupernetTask"]
