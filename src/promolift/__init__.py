"""Personalised promotions that pay."""
