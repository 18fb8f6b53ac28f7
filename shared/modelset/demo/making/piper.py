"""A Piper voice small enough to ship: it whistles, one tone for each sound of speech."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

RATE = 16000
SOUND_SAMPLES = 960  # 60 ms
OPERATORS = 15
FORMAT = 8

# Silence, start, end, then what a sentence is divided with; all of these are silent.
_SILENT = "_^$ !'(),-.:;?"
# What espeak writes for European languages, and the marks of stress, length and tone.
_SOUNDED = (
    "abcdefghijklmnopqrstuvwxyzæçðøħŋœβεθχ0123456789"
    "ɐɑɒɓɔɕɖɗɘəɚɛɜɞɟɠɡɢɣɤɥɦɧɨɪɫɬɭɮɯɰɱɲɳɴɵɶɸɹɺɻɽɾʀʁʂʃʄʈʉʊʋʌʍʎʏʐʑʒʔʕʘʙʛʜʝʟʡʢᵻⱱ"
)
_MARKS = "ˈˌːˑ˞ʰʲ↑↓\u0303\u0329\u032a\u032f"


def build_piper(folder: Path) -> None:
    """Write the voice and what is said about it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "voice.onnx").write_bytes(voice_bytes())
    text = json.dumps(description(), indent=2, ensure_ascii=False)
    (folder / "voice.onnx.json").write_bytes(f"{text}\n".encode())


def description() -> Mapping[str, object]:
    """Return the document that lies beside a voice."""
    return {
        "audio": {"sample_rate": RATE, "quality": "demo"},
        "espeak": {"voice": "en-us"},
        "inference": {"noise_scale": 0.667, "length_scale": 1.0, "noise_w": 0.8},
        "phoneme_type": "espeak",
        "phoneme_map": {},
        "phoneme_id_map": {sound: [number] for number, sound in enumerate(_sounds())},
        "num_symbols": len(_sounds()),
        "num_speakers": 1,
        "speaker_id_map": {},
        "piper_version": "1.0.0",
        "language": {"code": "en_US", "family": "en", "region": "US"},
        "dataset": "demo",
    }


def voice_bytes() -> bytes:
    """Return the network: it looks up a tone for each sound and plays one after the other."""
    onnx = import_module("onnx")
    helper, kinds = onnx.helper, onnx.TensorProto
    graph = helper.make_graph(
        [helper.make_node(kind, given, [made], **more) for kind, given, made, more in _steps()],
        "demo-voice",
        [
            helper.make_tensor_value_info("input", kinds.INT64, ["batch", "sounds"]),
            helper.make_tensor_value_info("input_lengths", kinds.INT64, ["batch"]),
            helper.make_tensor_value_info("scales", kinds.FLOAT, [3]),
        ],
        [helper.make_tensor_value_info("output", kinds.FLOAT, ["batch", 1, 1, "samples"])],
        [_constant(helper, kinds, name, values) for name, values in _constants().items()],
    )
    model = helper.make_model(
        graph,
        producer_name="modelset-demo",
        ir_version=FORMAT,
        opset_imports=[helper.make_opsetid("", OPERATORS)],
    )
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _sounds() -> list[str]:
    return [*_SILENT, *_SOUNDED, *_MARKS]


def _constants() -> Mapping[str, object]:
    tones = [120.0 + 5.0 * number for number in range(len(_sounds()))]
    loudness = [0.5 if sound in _SOUNDED else 0.0 for sound in _sounds()]
    return {
        "tones": [6.283185307179586 * tone / RATE for tone in tones],
        "loudness": loudness,
        "samples": float(SOUND_SAMPLES),
        "zero": 0.0,
        "one": 1.0,
        "from_start": [0],
        "second_axis": [1],
        "length_scale": 1,
        "last": [2],
        "in_a_row": [0, 1, 1, -1],
    }


def _steps() -> list[tuple[str, list[str], str, dict[str, object]]]:
    """Return the operators in order: kind, what they are given, what they make, options."""
    return [
        ("Slice", ["input", "from_start", "input_lengths", "second_axis"], "heard", {}),
        ("Gather", ["tones", "heard"], "tone", {}),
        ("Gather", ["loudness", "heard"], "loud", {}),
        ("Unsqueeze", ["tone", "last"], "tone_column", {}),
        ("Unsqueeze", ["loud", "last"], "loud_column", {}),
        # One row of time for each sound, as long as the caller stretches it.
        ("Gather", ["scales", "length_scale"], "stretch", {}),
        ("Mul", ["samples", "stretch"], "span_exact", {}),
        ("Max", ["span_exact", "one"], "span", {}),
        ("Floor", ["span"], "span_whole", {}),
        ("Range", ["zero", "span_whole", "one"], "time", {}),
        ("Mul", ["tone_column", "time"], "phase", {}),
        ("Sin", ["phase"], "wave", {}),
        ("Mul", ["wave", "loud_column"], "rows", {}),
        ("Reshape", ["rows", "in_a_row"], "output", {}),
    ]


def _constant(helper: Any, kinds: Any, name: str, values: object) -> Any:
    row = values if isinstance(values, list) else [values]
    kind = kinds.FLOAT if isinstance(row[0], float) else kinds.INT64
    return helper.make_tensor(name, kind, [len(row)] if row is values else [], row)
