"""Lessons to candidates."""
