"""Drawn shops whose reports are written."""

from reports_fixtures import dollars, job_of

__all__ = ["dollars", "job_of"]
