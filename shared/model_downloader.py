#!/usr/bin/env python3
"""Door to `modelset download`: python shared/model_downloader.py, from any folder."""

import sys

from modelset.cli.main import run

if __name__ == "__main__":
    run(["download", *sys.argv[1:]])
