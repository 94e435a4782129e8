"""Waiting, as all tests do it."""

from waiting import eventually

__all__ = ["eventually"]
