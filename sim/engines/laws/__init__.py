"""The arithmetic of the service's rules: pure functions of integers, called by every engine."""
