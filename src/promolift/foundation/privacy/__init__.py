"""Find personal data in files, so that it can be erased."""
