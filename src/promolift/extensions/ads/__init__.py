"""Advertising: which creative is shown to which segment, learned from impressions and clicks."""
