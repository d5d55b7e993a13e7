"""One module per step of the story: what it reads from the store, which rooms it asks, what it keeps."""
