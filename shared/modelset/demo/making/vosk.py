"""A Vosk model small enough to ship, written by hand.

It has three sounds: silence, low and high. The network is one affine layer over two
features, the loudness of a frame and the tilt of its spectrum, so the scores follow
from the audio: a low hum is heard as "low", a hiss as "high", and silence as nothing.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Sound:
    """What the network hears: the word it stands for and how it is scored."""

    word: str
    loudness: float
    tilt: float
    bias: float
    entry_cost: float


@dataclass(frozen=True, slots=True)
class Arc:
    """One arc of the decoding graph."""

    transition: int
    word: int
    cost: float
    target: int


# A frame counts as loud from this logarithm of its energy: 25 ms at about -60 dB.
LOUD = 13.0
# Silence scores 0; the two words part where the spectrum is level. Entering a word
# costs something, or one long sound would be heard as many words.
SOUNDS = (
    Sound("", 0.0, 0.0, 0.0, 0.0),
    Sound("low", 0.5, 0.1, -0.5 * LOUD, 4.0),
    Sound("high", 0.5, -0.1, -0.5 * LOUD, 4.0),
)
SILENCE_PHONE = 1
STAY = 0.5  # the chance that a sound lasts one more frame

FST_MAGIC = 2125659606
FST_VERSION = 2
FST_PROPERTIES = 0x1 | 0x2  # expanded and mutable, as every graph of type "vector" is

MFCC = """\
--sample-frequency=16000
--use-energy=true
--num-mel-bins=23
--num-ceps=2
--cepstral-lifter=0
--dither=0
--low-freq=20
--high-freq=7600
--allow-upsample=true
"""

DECODING = f"""\
--min-active=200
--max-active=3000
--beam=10.0
--lattice-beam=2.0
--acoustic-scale=1.0
--frame-subsampling-factor=3
--endpoint.silence-phones={SILENCE_PHONE}
--endpoint.rule2.min-trailing-silence=0.5
--endpoint.rule3.min-trailing-silence=0.75
--endpoint.rule4.min-trailing-silence=1.0
"""

README = """A very small Vosk model, for demonstrations. It tells low sounds from high ones, and
both from silence: it answers a hum with "low" and a hiss with "high". It knows no
other words.
"""


def build_vosk(folder: Path) -> None:
    """Write the model folder."""
    files = {
        "README": README,
        "am/final.mdl": _transitions() + _network(),
        "conf/mfcc.conf": MFCC,
        "conf/model.conf": DECODING,
        "graph/phones/word_boundary.int": _word_boundaries(),
        "graph/words.txt": _words(),
    }
    for name, text in files.items():
        _write(folder / name, text.encode("ascii"))
    _write(folder / "graph/HCLG.fst", graph_bytes(_graph()))


def graph_bytes(states: Sequence[Sequence[Arc]]) -> bytes:
    """Return a graph in the binary form of OpenFst; the first state starts it and ends it."""
    arcs = sum(map(len, states))
    parts = [
        struct.pack("<i", FST_MAGIC),
        _text("vector"),
        _text("standard"),
        struct.pack("<iiQ", FST_VERSION, 0, FST_PROPERTIES),
        struct.pack("<qqq", 0, len(states), arcs),
    ]
    for number, state in enumerate(states):
        parts.append(struct.pack("<fq", math.inf if number else 0.0, len(state)))
        parts += [struct.pack("<iifi", a.transition, a.word, a.cost, a.target) for a in state]
    return b"".join(parts)


def _write(path: Path, body: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)


def _text(word: str) -> bytes:
    return struct.pack("<i", len(word)) + word.encode("ascii")


def _phones() -> range:
    return range(1, len(SOUNDS) + 1)


def _stay(phone: int) -> int:
    return 2 * phone - 1


def _leave(phone: int) -> int:
    return 2 * phone


def _transitions() -> str:
    """Return the transition model: each sound is a phone with one state that may repeat."""
    phones = " ".join(map(str, _phones()))
    chances = [math.log(STAY), math.log(1 - STAY)] * len(SOUNDS)
    lines = [
        "<TransitionModel>",
        "<Topology>",
        "<TopologyEntry>",
        f"<ForPhones> {phones} </ForPhones>",
        f"<State> 0 <PdfClass> 0 <Transition> 0 {STAY} <Transition> 1 {1 - STAY} </State>",
        "<State> 1 </State>",
        "</TopologyEntry>",
        "</Topology>",
        f"<Triples> {len(SOUNDS)}",
        *(f"{phone} 0 {phone - 1}" for phone in _phones()),
        "</Triples>",
        "<LogProbs>",
        # Transitions are counted from 1, so the first number stands for none.
        _numbers([0.0, *chances]),
        "</LogProbs>",
        "</TransitionModel>",
    ]
    return "\n".join(lines) + "\n"


def _network() -> str:
    """Return the network: one affine layer from the features to a score for each sound."""
    rows = "\n".join(f"  {sound.loudness:g} {sound.tilt:g}" for sound in SOUNDS)
    lines = [
        # The space belongs to the format: a reader takes one character after a marker
        # and then expects the end of the line.
        "<Nnet3> ",
        "input-node name=input dim=2",
        "component-node name=scores component=scores input=input",
        "output-node name=output input=scores objective=linear",
        "",
        "<NumComponents> 1",
        "<ComponentName> scores <FixedAffineComponent>",
        f"<LinearParams> [\n{rows} ]",
        f"<BiasParams> {_numbers(sound.bias for sound in SOUNDS)}",
        "</FixedAffineComponent>",
        "</Nnet3>",
        "<LeftContext> 0 <RightContext> 0",
        "<Priors> [ ]",
    ]
    return "\n".join(lines) + "\n"


def _numbers(values: Iterable[float]) -> str:
    return f"[ {' '.join(f'{value:.6g}' for value in values)} ]"


def _graph() -> list[list[Arc]]:
    """Return the decoding graph: from the middle into any sound, around it, and back."""
    words = _word_numbers()
    # The way out of a phone's state comes before its repetitions: the order in which the
    # library looks for whole words when it is asked for their times.
    middle = [
        Arc(_leave(phone), words[sound.word], sound.entry_cost, phone)
        for phone, sound in zip(_phones(), SOUNDS, strict=True)
    ]
    around = [[Arc(_stay(phone), 0, 0.0, phone), Arc(0, 0, 0.0, 0)] for phone in _phones()]
    return [middle, *around]


def _word_numbers() -> dict[str, int]:
    """Return each word's number; silence is no word, which is number 0."""
    return {"": 0} | {sound.word: number for number, sound in enumerate(SOUNDS) if sound.word}


def _words() -> str:
    return "".join(f"{word or '<eps>'} {number}\n" for word, number in _word_numbers().items())


def _word_boundaries() -> str:
    """Return which phones are silence; every other one is a whole word by itself."""
    kinds = ("singleton" if sound.word else "nonword" for sound in SOUNDS)
    return "".join(f"{phone} {kind}\n" for phone, kind in zip(_phones(), kinds, strict=True))
