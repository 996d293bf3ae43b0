"""Recordings to samples."""
