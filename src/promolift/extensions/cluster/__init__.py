"""Work on many machines: a Ray executor and work folders in an object store."""
