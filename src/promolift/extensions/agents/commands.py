"""The command `mcp`: a server of the Model Context Protocol for a language model."""

from pathlib import Path
from typing import Annotated

from promolift.cli.command_line import CommandLine, load_settings, option


def mcp(
    config: Path, work: Path, learned: Path,
    port: Annotated[int | None, option("HTTP on this port of this machine, under /mcp; else stdio.", min=1)] = None,
) -> None:  # fmt: skip
    """Let an agent ask by the Model Context Protocol: what is planned, decided and learned; it writes drafts alone.
    See docs/agents.md."""
    from promolift.extensions.agents import mcp_server

    mcp_server.run_mcp_server(mcp_server.McpTools(load_settings(config), work, learned, mcp_server.live_client()), port)


def add_commands(command_line: CommandLine) -> None:
    """Add the command of this extension."""
    command_line.add(mcp, after="serve")
