"""The command line: one file a command; the only folder that prints."""
