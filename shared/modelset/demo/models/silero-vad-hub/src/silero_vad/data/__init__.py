"""The detector itself."""
