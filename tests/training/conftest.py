"""Trainings that several files compare with."""

from trainings import forks, quick_start, short_run

__all__ = ["forks", "quick_start", "short_run"]
