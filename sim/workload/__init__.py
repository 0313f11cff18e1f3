"""What a scenario says of its traffic, and its realisation into a trace: arrivals, sizes, contexts, sessions."""
