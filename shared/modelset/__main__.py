"""python -m modelset: the same as the `modelset` command."""

from modelset.cli.main import run

if __name__ == "__main__":
    run()
