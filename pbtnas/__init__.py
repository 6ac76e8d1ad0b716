"""pbtnas: neural architecture search by Population Based Training over a shared directory."""

__version__ = "0.1.0"
