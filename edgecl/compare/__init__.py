"""Strategies on the user's own data."""
