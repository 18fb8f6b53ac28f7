"""The only look at the machine: processor, memory, disk and graphics cards."""
