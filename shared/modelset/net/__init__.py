"""The only folder that opens sockets to the outside."""
