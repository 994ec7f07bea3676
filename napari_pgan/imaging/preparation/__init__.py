"""Prepare cohorts into stores, with a quality report."""
