"""Loads models in their real libraries, each in a child process without a network, and times it."""
