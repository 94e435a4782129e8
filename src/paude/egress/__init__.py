"""What may leave: allowlist, squid configuration, network policies. Pure facts, no cluster access."""
