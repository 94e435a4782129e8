"""The one background process per user that owns tunnels and the sync daemon."""
