"""The typed, frozen results that the steps store in a work folder."""
