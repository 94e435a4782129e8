"""The bad network of the tests is the one that `paude bench` measures with."""

from __future__ import annotations

from paude.bench.relay import Relay, relay

__all__ = ["Relay", "relay"]
