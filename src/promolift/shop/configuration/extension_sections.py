"""Find out whether a settings file is a shop's promolift.toml or a file of a project that an extension registers.

A project, such as a bank's offers, has a settings file with one section of its own. `promolift run` gives it to the
extension; all other commands need a shop's file.
"""

import tomllib
from pathlib import Path
from typing import Any, NamedTuple

from promolift.foundation.extension import Project, listed, load_reference
from promolift.foundation.progress import Progress, StepSummary
from promolift.foundation.settings import Settings


class ProjectFile(NamedTuple):
    """A settings file of a project, and what its section says."""

    path: Path
    project: Project
    settings: Settings

    def run(self, work: Path, out: Path, tell: Progress) -> StepSummary:
        """Do the main job of the project: `promolift run`."""
        summary: StepSummary = load_reference(self.project.run)(self.settings, self.path, work, out, tell)
        return summary


def project_sections() -> tuple[Project, ...]:
    """Return the projects that extensions register, each with the section of its settings file as its name."""
    return listed("projects")


def read_project(config: Path) -> ProjectFile | None:
    """Return the project of a settings file, or None for a shop's file and where no file can be read.

    Raises ConfigError for a section that is wrong, naming the key.
    """
    try:
        values: dict[str, Any] = tomllib.loads(config.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return None
    project = next((each for each in project_sections() if each.name in values), None)
    if project is None:
        return None
    whole = load_reference(project.settings).parse(values, str(config))
    return ProjectFile(config, project, getattr(whole, project.name))
