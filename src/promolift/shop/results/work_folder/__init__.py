"""The work folder: the run context, its typed tables and the active release."""
