"""Make the demo models afresh.

Needs the runtime libraries (ctranslate2, torch, spacy). The same versions of them
make the same bytes. Writes to `shared/modelset/demo/models/` unless told otherwise:

    python scripts/make_demo_models.py [--out FOLDER] [--only whisper --only spacy ...]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

SOURCE_ROOT = Path(__file__).resolve().parents[1] / "shared"
sys.path.insert(0, str(SOURCE_ROOT))

from modelset.demo.making.mlx import build_mlx  # noqa: E402
from modelset.demo.making.pyannote import build_pyannote  # noqa: E402
from modelset.demo.making.spacy_wheels import build_spacy_wheels  # noqa: E402
from modelset.demo.making.vad import build_vad_wheel  # noqa: E402
from modelset.demo.making.whisper import build_whisper  # noqa: E402

BUILDERS: dict[str, Callable[[Path], None]] = {
    "whisper": lambda out: build_whisper(out / "whisper-tiny-demo"),
    "mlx": lambda out: build_mlx(out / "mlx-whisper-demo"),
    "pyannote": build_pyannote,
    "spacy": lambda out: build_spacy_wheels(_made(out / "wheels")),
    "vad": lambda out: build_vad_wheel(_made(out / "wheels")),
}


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def main() -> int:
    """Build what was asked for and say how large it is."""
    parser = argparse.ArgumentParser(description="Make the demo models afresh.")
    default = SOURCE_ROOT / "modelset" / "demo" / "models"
    parser.add_argument("--out", type=Path, default=default, help="where to write them")
    parser.add_argument("--only", action="append", choices=sorted(BUILDERS), help="just this one")
    chosen = parser.parse_args()
    for name in chosen.only or BUILDERS:
        BUILDERS[name](chosen.out)
    files = [path for path in chosen.out.rglob("*") if path.is_file()]
    total = sum(path.stat().st_size for path in files)
    sys.stdout.write(f"{len(files)} files, {total} bytes in {chosen.out}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
