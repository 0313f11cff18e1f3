"""What people read: tables for the terminal, each figure with its interval or the reason why it has none."""
