"""Byte streams from the laptop to a port of the pod's loopback. No ssh, no sessions."""
