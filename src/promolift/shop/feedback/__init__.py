"""Decisions and what happened after them in; a verdict, the value of other policies and the next release out."""
