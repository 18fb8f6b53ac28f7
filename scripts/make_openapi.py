"""Write docs/openapi.json from the service's own routes, or with `--check` say how the file differs
from it.

python scripts/make_openapi.py [--check] [--out FILE]
"""

from __future__ import annotations

import argparse
import difflib
import json
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "shared"))

from modelset.server.access import Access  # noqa: E402
from modelset.server.app import description, with_routes  # noqa: E402
from modelset.serving import Serving  # noqa: E402

PAGE = ROOT / "docs" / "openapi.json"


def text_of_routes() -> str:
    """The description, always the same for the same routes."""
    document = description(with_routes(Access(Serving())))
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Write it, or compare; returns 1 when they differ."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--check", action="store_true", help="only compare")
    parser.add_argument("--out", type=Path, default=PAGE, metavar="FILE")
    options = parser.parse_args(argv)
    text = text_of_routes()
    if not options.check:
        options.out.write_text(text, "utf-8")
        return 0
    known = options.out.read_text("utf-8") if options.out.exists() else ""
    names = (str(options.out), "the routes")
    lines = difflib.unified_diff(known.splitlines(), text.splitlines(), *names, lineterm="")
    print("\n".join(lines), end="\n" if known != text else "")
    return int(known != text)


if __name__ == "__main__":
    sys.exit(main())
