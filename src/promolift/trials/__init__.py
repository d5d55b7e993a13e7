"""A trial as a file or a frame in; whether it can be trusted, what its arms added to whom, a plan and a page out."""
