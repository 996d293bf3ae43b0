"""Listening to streams."""
