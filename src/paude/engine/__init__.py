"""Plans, the runner, events and timing. Pure anyio: it knows nothing of paude but its errors and report."""
