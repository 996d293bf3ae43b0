"""Statistics that leave a device and come to it: share files, their checks, screening, merging and noise."""
