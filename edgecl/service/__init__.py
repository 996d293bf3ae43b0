"""A listener as a service."""
