"""The Model Context Protocol server, through which a language model reads a plan."""
