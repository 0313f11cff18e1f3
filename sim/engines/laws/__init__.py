"""The arithmetic of the service's rules: pure functions of integers, called by every engine, so a rule stands in one place."""
