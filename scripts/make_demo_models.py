"""Make the demo models afresh.

Needs the runtime libraries (ctranslate2, torch, spacy, openai-whisper, transformers,
onnx, gguf); with `--only`, those of the chosen ones. The same versions of them make the
same bytes. Writes to `shared/modelset/demo/models/` unless told otherwise:

    python scripts/make_demo_models.py [--out FOLDER] [--only whisper --only spacy ...]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

SOURCE_ROOT = Path(__file__).resolve().parents[1] / "shared"
sys.path.insert(0, str(SOURCE_ROOT))

from modelset.demo.making.coqui import build_coqui  # noqa: E402
from modelset.demo.making.distilbert import build_distilbert  # noqa: E402
from modelset.demo.making.llama import build_llama  # noqa: E402
from modelset.demo.making.mlx import build_mlx  # noqa: E402
from modelset.demo.making.ollama import build_ollama  # noqa: E402
from modelset.demo.making.openai_whisper import build_openai_whisper  # noqa: E402
from modelset.demo.making.piper import build_piper  # noqa: E402
from modelset.demo.making.pyannote import build_pyannote  # noqa: E402
from modelset.demo.making.sentence_bert import build_sentence_bert  # noqa: E402
from modelset.demo.making.silero_tts import build_silero_tts  # noqa: E402
from modelset.demo.making.spacy_rules import build_spacy_rules  # noqa: E402
from modelset.demo.making.spacy_wheels import build_spacy_wheels  # noqa: E402
from modelset.demo.making.vad import build_vad_wheel  # noqa: E402
from modelset.demo.making.vad_hub import build_vad_hub  # noqa: E402
from modelset.demo.making.vader import build_lexicon, build_vader_wheel  # noqa: E402
from modelset.demo.making.vosk import build_vosk  # noqa: E402
from modelset.demo.making.whisper import build_whisper  # noqa: E402

BUILDERS: dict[str, Callable[[Path], None]] = {
    "whisper": lambda out: build_whisper(out / "whisper-tiny-demo"),
    "openai-whisper": lambda out: build_openai_whisper(out / "openai-whisper"),
    "mlx": lambda out: build_mlx(out / "mlx-whisper-demo"),
    "pyannote": build_pyannote,
    "spacy": lambda out: build_spacy_wheels(_made(out / "wheels")),
    "spacy-rules": lambda out: build_spacy_rules(_made(out / "wheels")),
    "vad": lambda out: build_vad_wheel(_made(out / "wheels")),
    "vad-hub": lambda out: build_vad_hub(out / "silero-vad-hub"),
    "sentence-bert": lambda out: build_sentence_bert(out / "all-MiniLM-L6-v2"),
    "distilbert": lambda out: build_distilbert(out / "distilbert-sst2"),
    "llama": lambda out: build_llama(out / "gguf"),
    "ollama": lambda out: build_ollama(out / "ollama"),
    "vosk": lambda out: build_vosk(out / "vosk"),
    "piper": lambda out: build_piper(out / "piper"),
    "silero-tts": lambda out: build_silero_tts(out / "silero-tts"),
    "coqui": lambda out: build_coqui(out / "coqui"),
    "lexicon": lambda out: build_lexicon(out / "nltk"),
    "vader": lambda out: build_vader_wheel(_made(out / "wheels")),
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
