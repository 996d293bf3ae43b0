"""Frozen networks: from signals to latents."""
