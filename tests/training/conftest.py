"""Fixtures for trainings."""

from trainings import forks, quick_start, short_run

__all__ = ["forks", "quick_start", "short_run"]
