"""The Model Context Protocol server, through which a language model reads a plan."""

from promolift.foundation.extension import Extension

EXTENSION = Extension("agents", commands=("promolift.extensions.agents.commands:add_commands",))
