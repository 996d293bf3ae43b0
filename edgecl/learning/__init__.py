"""From lessons to candidates."""
