"""Questions put to the simulator many times over, and the answers with their uncertainty."""
