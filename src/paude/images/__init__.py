"""Content hashes, builds and pushes of container images."""
