"""Find the columns of event files: who, when, what, how many, and the money of each line."""
