"""The shop's report and other pages, made from stored results."""
