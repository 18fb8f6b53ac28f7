"""The service: the model set over HTTP, its jobs, its page and its measurements."""
