"""One verified file through pooch: with_pooch.py URL SHA256 PLACE"""

import sys
from pathlib import Path

import pooch


def main() -> None:
    """Fetch it."""
    url, sha256, place = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    pooch.retrieve(url, f"sha256:{sha256}", fname=place.name, path=place.parent)


if __name__ == "__main__":
    main()
