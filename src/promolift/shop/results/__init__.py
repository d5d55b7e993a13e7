"""What the steps keep in a work folder, typed and frozen: above the rooms, which see columns alone."""
