"""Reads the instructions of a pickle without following one: the names it would load."""

import pickletools
from collections.abc import Iterator
from typing import IO, Any, Final

from modelset.core.values import dataclass
from modelset.store.files import CHUNK

# Longer values are passed over: none of them is the name of anything.
_LONGEST: Final = 64 * 1024
_LONGEST_NAME: Final = 1024

_STRINGS: Final = frozenset(
    [
        *("STRING", "BINSTRING", "SHORT_BINSTRING"),
        *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    ]
)
_GETS: Final = frozenset(["GET", "BINGET", "LONG_BINGET"])
_PUTS: Final = frozenset(["PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"])
_EXTENSIONS: Final = frozenset(["EXT1", "EXT2", "EXT4"])


@dataclass(frozen=True, slots=True)
class Seen:
    """What a pickle would load: modules with the names in them.

    `is_hidden` when more is loaded whose name cannot be told from the instructions alone;
    `damage` says why the pickle cannot be read to its end, and is empty when it can.
    """

    names: tuple[tuple[str, str], ...] = ()
    is_hidden: bool = False
    damage: str = ""


def look(stream: IO[bytes], most: int | None = None) -> Seen:
    """Read one pickle, up to its last instruction; nothing long of it is held in memory.

    One of more than `most` instructions counts as damaged.
    """
    tracer = _Tracer()
    damage = ""
    try:
        for count, (code, value) in enumerate(_instructions(stream)):
            if count == most:
                raise ValueError(f"it has more than {most} instructions")
            tracer.step(code, value)
    except OSError:
        raise
    except Exception as error:  # whatever a hostile pickle makes pickletools or zipfile raise
        damage = str(error) or type(error).__name__
    return Seen(tuple(tracer.names), tracer.is_hidden, damage)


def _instructions(stream: IO[bytes]) -> Iterator[tuple[str, Any]]:
    lean: Any = _Lean(stream)
    for opcode, value, _ in pickletools.genops(lean):
        yield opcode.name, value


class _Tracer:
    """Follows texts from where they are written to where they are taken for a name.

    Only what `pickle` writes itself is followed. Whoever hides a name behind anything else, such
    as a text that is taken off again or kept under a number before, is told of as hiding it.
    """

    def __init__(self) -> None:
        self.names: dict[tuple[str, str], None] = {}
        self.is_hidden = False
        self._memo: dict[int, str | None] = {}
        self._last: tuple[str | None, str | None] = (None, None)

    def step(self, code: str, value: Any) -> None:
        """Take one instruction."""
        if code in _STRINGS:
            self._push(value if len(value) <= _LONGEST_NAME else None)
        elif code in _GETS:
            self._push(self._memo.get(int(value)))
        elif code in _PUTS:
            number = len(self._memo) if code == "MEMOIZE" else int(value)
            self._memo[number] = self._last[1]
        elif code != "FRAME":  # which only says how much may be read ahead
            if code in ("GLOBAL", "INST"):
                self._load(*value.split(" ", 1))
            elif code == "STACK_GLOBAL":
                self._load(*self._last)
            elif code in _EXTENSIONS:
                self.is_hidden = True
            self._last = (None, None)

    def _push(self, text: str | None) -> None:
        self._last = (self._last[1], text)

    def _load(self, module: str | None = None, name: str | None = None) -> None:
        if module is None or name is None:
            self.is_hidden = True
        else:
            self.names[module, name] = None


class _Lean:
    """A stream for pickletools that gives an empty value in the place of a long one."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def read(self, size: int) -> bytes:
        """So many bytes, or what says that it is so many."""
        if size <= _LONGEST:
            return self._stream.read(size)
        left = size
        while left and (data := self._stream.read(min(left, CHUNK))):
            left -= len(data)
        return b"" if left else _Long.of(size)

    def readline(self) -> bytes:
        """A line, without its end when it is long, which no reader takes for one."""
        return self._stream.readline(_LONGEST)


class _Long(bytes):
    """No bytes, of any length."""

    size = 0

    @classmethod
    def of(cls, size: int) -> "_Long":
        """The stand-in for so many bytes."""
        made = cls()
        made.size = size
        return made

    def __len__(self) -> int:
        return self.size
