"""Change detectors."""
