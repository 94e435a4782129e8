"""Scenarios, statistics and reports of paude's own timings. It runs plans; it contains no steps."""
