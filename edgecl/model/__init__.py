"""What is known, as frozen values; no files."""
