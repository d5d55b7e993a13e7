"""What strange files mean: raw files in; a commented promolift.toml out."""
