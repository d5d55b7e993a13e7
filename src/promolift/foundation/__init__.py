"""Shared building blocks: files, tables, storage, time, text and pages. Nothing here knows about promotions."""
