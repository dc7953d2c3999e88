"""`python -m mensajeria.cli` is the command `mensajeria`."""

import sys

from mensajeria.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
