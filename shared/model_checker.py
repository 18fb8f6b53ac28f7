#!/usr/bin/env python3
"""Door to `modelset check`: python shared/model_checker.py, from any folder."""

import sys

from modelset.cli.main import run

if __name__ == "__main__":
    run(["check", *sys.argv[1:]])
