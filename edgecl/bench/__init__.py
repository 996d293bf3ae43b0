"""What a lesson costs on this board."""
