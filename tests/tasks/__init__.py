"""Tests of tasks."""

import pytest

# The contract's assertions explain themselves as if they stood in a test module.
pytest.register_assert_rewrite("tests.tasks.contract")
