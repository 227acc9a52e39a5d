"""`python -m cortex_tasks` is the command `cortex-tasks`."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
