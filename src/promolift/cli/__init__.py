"""The command line: one module per group of commands."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line (docs/command-line.md)."""
    from promolift.cli.application import main as run  # `import promolift.cli` loads no library

    run(arguments)
