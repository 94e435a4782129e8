"""What may leave: allowlist, squid configuration, network policies. No cluster access.

All of it is pure but `registries`, which asks the developer's own clients what they are set to.
"""
