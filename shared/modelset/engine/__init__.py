"""Fetches, verifies, places and inspects; the only folder with threads and clocks."""
