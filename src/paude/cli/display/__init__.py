"""Renderings of a plan and its events: rich on a terminal, plain lines, JSON. They read; they change nothing."""
