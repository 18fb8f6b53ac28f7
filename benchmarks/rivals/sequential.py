"""One model after another, as simple bootstrap scripts do it: sequential.py ORIGIN FOLDER REPO...

Asks the Hub's API what a model holds, then fetches its files one by one, each over a connection
of its own. No resume, no digest.
"""

import json
import shutil
import sys
import urllib.request
from pathlib import Path
from urllib.parse import quote


def fetch_model(origin: str, folder: Path, repo: str) -> None:
    """Bring every file of one repository."""
    with urllib.request.urlopen(f"{origin}/api/models/{repo}/revision/main") as answer:
        commit = json.load(answer)["sha"]
    with urllib.request.urlopen(f"{origin}/api/models/{repo}/tree/{commit}?recursive=1") as answer:
        paths = [row["path"] for row in json.load(answer) if row["type"] == "file"]
    for path in paths:
        place = folder / repo / path
        place.parent.mkdir(parents=True, exist_ok=True)
        url = f"{origin}/{repo}/resolve/{commit}/{quote(path)}"
        with urllib.request.urlopen(url) as body, place.open("wb") as file:
            shutil.copyfileobj(body, file, 1024 * 1024)


def main() -> None:
    """Fetch the models in the order they are named."""
    origin, folder, *repos = sys.argv[1:]
    for repo in repos:
        fetch_model(origin, Path(folder), repo)


if __name__ == "__main__":
    main()
