"""`python -m mensajeria.desktop [PROFILE]`: the window without the command line around it."""

import sys
from pathlib import Path

from mensajeria.desktop.app.main import StartOptions, run
from mensajeria.desktop.app.paths import default_profile

if __name__ == "__main__":
    failure = run(StartOptions(Path(sys.argv[1]) if len(sys.argv) > 1 else default_profile()))
    sys.exit(f"mensajeria: {failure.code}" if failure is not None else 0)
