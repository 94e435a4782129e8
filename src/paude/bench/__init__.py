"""Scenarios, statistics and reports of paude's own timings. It runs plans; it contains no steps."""

from paude.bench.report import Report
from paude.bench.scenarios import Conditions, Run, RunOnce, bench_start

__all__ = ["Conditions", "Report", "Run", "RunOnce", "bench_start"]
