"""The chapters of the shop's page: each makes a `Chapter` of the story, or None to be left out."""
