"""One second of sound to listen to: a tone and a little noise at 16 kHz, always the same."""

import array
import math
import random
import sys
from typing import Final

RATE: Final = 16_000


def tone() -> list[float]:
    """Samples between -1 and 1."""
    noise = random.Random(0)  # noqa: S311 - noise, not a secret
    return [
        0.3 * math.sin(2 * math.pi * 220 * at / RATE) + noise.uniform(-0.02, 0.02)
        for at in range(RATE)
    ]


def pcm() -> bytes:
    """The same as 16-bit numbers, small end first."""
    samples = array.array("h", (int(sample * 32767) for sample in tone()))
    if sys.byteorder == "big":
        samples.byteswap()
    return samples.tobytes()
