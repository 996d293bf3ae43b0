"""From microphones, pipes and files to chunks."""
