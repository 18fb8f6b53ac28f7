"""python -m modelset: the same as the `modelset` command."""

import sys

from modelset.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
