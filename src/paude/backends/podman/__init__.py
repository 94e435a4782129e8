"""Sessions on one machine with Podman."""
