"""paude runs a coding agent where it can do no harm, and keeps its developer's files and terminal connected to it."""

__version__ = "0.1.0"
