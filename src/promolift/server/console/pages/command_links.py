"""Show a command that a result names as a link to the page of the console on which the same is done."""

import re

from markupsafe import Markup, escape

from promolift.server.translations import translate_key

# The page of each command; a command that is not listed stays as it is.
COMMAND_PAGES = {
    **dict.fromkeys(("init", "ingest", "health"), "/data"),
    **dict.fromkeys(("run", "profile", "effect", "plan", "message", "evaluate", "plays", "report"), "/plan"),
    "words": "/words",
    "learn": "/results",
    **dict.fromkeys(("fairness", "privacy", "erase"), "/governance"),
}
QUOTED = re.compile(r"`([^`]+)`")
COMMAND = re.compile(r"promolift ([a-z]+)\b")


def mark_commands(text: object) -> Markup:
    """Return text with the parts between backquotes marked as code, and commands as links to their pages."""
    return Markup(QUOTED.sub(_marked, str(escape(text))))


def _marked(found: re.Match[str]) -> str:
    command = COMMAND.match(found[1])
    path = COMMAND_PAGES.get(command[1]) if command else None
    if path is None:
        return f"<code>{found[1]}</code>"
    return f'<a href="/console{path}">{escape(translate_key("nav", path))}</a>'
