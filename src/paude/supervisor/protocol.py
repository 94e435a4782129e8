"""What the supervisor's socket and its clients have in common."""

from __future__ import annotations

PROTOCOL = 3
"""Raised whenever what is said at the socket changes its meaning: a client replaces a supervisor of another number."""
