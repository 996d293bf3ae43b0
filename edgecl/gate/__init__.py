"""The gate: tests that a candidate is no worse than the live model."""
