"""The workspace on both sides: selection, first content, the sync daemon, conflicts, git history."""
