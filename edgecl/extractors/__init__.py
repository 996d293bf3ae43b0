"""Frozen networks: signals to latents."""
