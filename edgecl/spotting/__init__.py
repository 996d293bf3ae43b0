"""From scores of a stream to events."""
