"""The network that turns a voice into numbers: of full size, in a file of a few pages.

The library makes this network in one size only, of six million weights. Each of them is here, but
nearly all are views of one short row of random numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

from modelset.demo.making.pyannote_checkpoint import REPRESENTATION, WHOLE_CHUNK, Network, Task
from modelset.demo.making.weaver import Weaver

SEED = 20240602

# Long enough for the widest tensor, whose rows have 5120 numbers.
ROW = 8192

# Channels and blocks of each of the four layers.
LAYERS = ((32, 3), (64, 4), (128, 6), (256, 3))
BANDS = 80
VOICE = 256


def weights() -> Mapping[str, Any]:
    """Return the state of the network."""
    torch = import_module("torch")
    chance = torch.Generator().manual_seed(SEED)
    weaver = Weaver(torch.randn(ROW, generator=chance).half())
    state = {f"resnet.{name}": tensor for name, tensor in _resnet(weaver)}
    counted = torch.tensor(0)
    names = [name for name in state if name.endswith(".running_var")]
    tracked = {name.replace("running_var", "num_batches_tracked"): counted for name in names}
    return state | tracked


def _resnet(weaver: Weaver) -> Iterator[tuple[str, Any]]:
    first = LAYERS[0][0]
    yield from _filters(weaver, "conv1", "bn1", (first, 1, 3, 3))
    given = first
    for number, (channels, blocks) in enumerate(LAYERS, 1):
        for block in range(blocks):
            name = f"layer{number}.{block}"
            yield from _filters(weaver, f"{name}.conv1", f"{name}.bn1", (channels, given, 3, 3))
            yield from _filters(weaver, f"{name}.conv2", f"{name}.bn2", (channels, channels, 3, 3))
            if given != channels:
                shape = (channels, given, 1, 1)
                yield from _filters(weaver, f"{name}.shortcut.0", f"{name}.shortcut.1", shape)
            given = channels
    # The mean and the spread of each channel, in an eighth of the bands.
    yield "seg_1.weight", weaver.woven(VOICE, 2 * given * BANDS // 8)
    yield "seg_1.bias", weaver.filled(0.0, VOICE)


def _filters(
    weaver: Weaver, name: str, norm: str, shape: tuple[int, ...]
) -> Iterator[tuple[str, Any]]:
    """Filters, and what brings their sums back to the size of what they were given."""
    yield f"{name}.weight", weaver.woven(*shape)
    yield f"{norm}.weight", weaver.filled(1.0, shape[0])
    yield f"{norm}.bias", weaver.filled(0.0, shape[0])
    yield f"{norm}.running_mean", weaver.filled(0.0, shape[0])
    yield f"{norm}.running_var", weaver.filled(float(math.prod(shape[1:])), shape[0])


EMBEDDING = Network(
    "pyannote.audio.models.embedding.wespeaker",
    "WeSpeakerResNet34",
    Task(REPRESENTATION, WHOLE_CHUNK, 5.0),
    {"num_mel_bins": BANDS},
    weights,
)
