"""The only folder that touches the user's files."""
