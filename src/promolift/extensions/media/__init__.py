"""Product pictures, product texts and recorded speech."""
