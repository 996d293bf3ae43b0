"""What can be done to a store: one file per verb."""
