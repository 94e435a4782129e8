"""What a session is given to work with, and how it expires."""
