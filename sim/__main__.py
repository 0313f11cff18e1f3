"""``python -m sim`` is ``gcsim``."""

from sim.cli import main

if __name__ == "__main__":
    main()
