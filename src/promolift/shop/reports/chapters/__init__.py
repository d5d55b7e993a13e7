"""The chapters of the shop's report. Each builds a `Chapter` from the story, or None to be left out."""
