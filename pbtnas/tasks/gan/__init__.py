"""The paper's GAN searches."""

from pbtnas.tasks.gan.task import GanTask

__all__ = ["GanTask"]
