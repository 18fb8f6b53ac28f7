"""The network that hears when someone speaks, set by hand: one person, where the sound is loud.

Its first layers split the sound into bands and measure them against the whole piece. They are given
positive filters, so that loudness comes through. The last layers average it over a moment.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from modelset.demo.making.pyannote_checkpoint import (
    EACH_FRAME,
    MONO_LABEL_CLASSIFICATION,
    Network,
    Task,
)
from modelset.demo.making.weaver import Weaver

SEED = 20240603
RATE = 16000

# Sizes that the library gives: the filters of each layer, and how much of the sound they see.
FILTERS = (80, 60, 60)
SAMPLES = 251
TAPS = 5

# Sizes that are ours.
CELLS = 2
ROW = 1024

SPEAKERS = ("speaker#1", "speaker#2", "speaker#3")
# No one, each of the three alone, each two of them.
OUTCOMES = 7

# A gate at this height lets nine tenths through, and one as far below zero a tenth.
GATE = 2.2
# From which loudness on someone speaks, and how steep that step is.
LOUD = 0.15
STEEP = 40.0


def weights() -> Mapping[str, Any]:
    """Return the state of the network."""
    return {**_filterbank(), **_filters(), **_cells(), **_answer()}


def _filterbank() -> Mapping[str, Any]:
    """Bands from low to high, and the window and the times that their filters are made with."""
    torch = import_module("torch")
    numpy = import_module("numpy")
    half = SAMPLES // 2
    edges = numpy.geomspace(30.0, 7900.0, FILTERS[0] // 2 + 1)
    times = 2 * numpy.pi * numpy.arange(-half, 0) / RATE
    bank = {
        "low_hz_": edges[:-1, None],
        "band_hz_": numpy.diff(edges)[:, None],
        "window_": numpy.hamming(SAMPLES)[:half],
        "n_": times[None],
    }
    return {
        f"sincnet.conv1d.0.filterbank.{name}": torch.tensor(numbers, dtype=torch.float32)
        for name, numbers in bank.items()
    }


def _filters() -> Mapping[str, Any]:
    torch = import_module("torch")
    chance = torch.Generator().manual_seed(SEED)
    weaver = Weaver(torch.rand(ROW, generator=chance).half())
    state = {
        "sincnet.wav_norm1d.weight": weaver.filled(1.0, 1),
        "sincnet.wav_norm1d.bias": weaver.filled(0.0, 1),
    }
    for layer, count in enumerate(FILTERS):
        state[f"sincnet.norm1d.{layer}.weight"] = weaver.filled(1.0, count)
        state[f"sincnet.norm1d.{layer}.bias"] = weaver.filled(0.0, count)
        if layer:
            name = f"sincnet.conv1d.{layer}"
            state[f"{name}.weight"] = weaver.woven(count, FILTERS[layer - 1], TAPS)
            state[f"{name}.bias"] = weaver.filled(0.0, count)
    return state


def _cells() -> Mapping[str, Any]:
    """Cells that average loudness over a moment, one way in time and the other."""
    torch = import_module("torch")
    # The rows of a cell: what it takes in, what it keeps, what is new, what it shows.
    new = torch.zeros(4, CELLS, FILTERS[2])
    new[2] = 1 / FILTERS[2]
    gates = torch.tensor([-GATE, GATE, 0.0, 2 * GATE])[:, None].expand(4, CELLS)
    state = {
        "weight_ih_l0": new.reshape(4 * CELLS, FILTERS[2]),
        "weight_hh_l0": torch.zeros(4 * CELLS, CELLS),
        "bias_ih_l0": gates.reshape(4 * CELLS),
        "bias_hh_l0": torch.zeros(4 * CELLS),
    }
    ways = ("", "_reverse")
    return {f"lstm.{name}{way}": tensor for way in ways for name, tensor in state.items()}


def _answer() -> Mapping[str, Any]:
    torch = import_module("torch")
    weight = torch.zeros(OUTCOMES, CELLS)
    weight[1] = STEEP / CELLS
    bias = torch.full((OUTCOMES,), -STEEP)
    bias[0], bias[1] = 0.0, -STEEP * LOUD
    return {
        "linear.0.weight": torch.full((CELLS, 2 * CELLS), 0.5 / CELLS),
        "linear.0.bias": torch.zeros(CELLS),
        "classifier.weight": weight,
        "classifier.bias": bias,
    }


SEGMENTATION = Network(
    "pyannote.audio.models.segmentation.PyanNet",
    "PyanNet",
    Task(MONO_LABEL_CLASSIFICATION, EACH_FRAME, 4.0, SPEAKERS, 2),
    {
        "sincnet": {"stride": 10},
        "lstm": {"hidden_size": CELLS, "num_layers": 1, "bidirectional": True},
        "linear": {"hidden_size": CELLS, "num_layers": 1},
    },
    weights,
)
