"""The pod's own side in Podman: the real images, real sshd, real ssh, and a network that belongs to the test."""
