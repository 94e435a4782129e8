"""Keys, ssh configuration, the shell and the terminal. The only place of asyncssh."""
