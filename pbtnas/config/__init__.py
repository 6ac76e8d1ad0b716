"""The configuration of a run: five sections, read from YAML and stored as JSON."""

from pbtnas.config.fields import ConfigError, describe_fields, number, parse, setting
from pbtnas.config.loading import from_json, load
from pbtnas.config.resolved import difference, outcome, to_json, to_yaml
from pbtnas.config.schema import (
    Config,
    EngineConfig,
    LoggingConfig,
    RecordedOptions,
    RunConfig,
    SearchConfig,
    TaskConfig,
    describe,
)
from pbtnas.config.study import PlannedRun, load_study

__all__ = [
    "Config",
    "ConfigError",
    "EngineConfig",
    "LoggingConfig",
    "PlannedRun",
    "RecordedOptions",
    "RunConfig",
    "SearchConfig",
    "TaskConfig",
    "describe",
    "describe_fields",
    "difference",
    "from_json",
    "load",
    "load_study",
    "number",
    "outcome",
    "parse",
    "setting",
    "to_json",
    "to_yaml",
]
