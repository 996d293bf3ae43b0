"""Scores of a stream to events."""
