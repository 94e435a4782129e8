"""The graphs: which steps a command consists of and how they hang together, one file per verb. No I/O here."""
