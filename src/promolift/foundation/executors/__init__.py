"""Where shards are computed: an executor runs one function on many shards."""
