"""What the command line takes, as values: completion and the manual page are made of them."""

from typing import Literal

from modelset.core.values import dataclass

# How many words follow an option.
Takes = Literal["none", "one", "many"]


@dataclass(frozen=True, slots=True)
class Word:
    """A word that somebody fills in: one of `choices`, or of the list that `ask` names.

    `files` and `folders` are the shell's own lists; the program has the others.
    """

    shown: str
    choices: tuple[str, ...] = ()
    ask: str = ""


@dataclass(frozen=True, slots=True)
class Option:
    """An option with all its names, and the word that it takes."""

    names: tuple[str, ...]
    words: str
    takes: Takes = "none"
    value: Word = Word("")


@dataclass(frozen=True, slots=True)
class Argument:
    """A word by its place; one that `repeats` may come any number of times."""

    value: Word
    words: str
    repeats: bool = False
    is_needed: bool = False


@dataclass(frozen=True, slots=True)
class Command:
    """A command with everything that it takes."""

    name: str
    aliases: tuple[str, ...]
    words: str
    options: tuple[Option, ...] = ()
    arguments: tuple[Argument, ...] = ()


@dataclass(frozen=True, slots=True)
class Program:
    """A program: its own options and its commands."""

    name: str
    words: str
    version: str
    options: tuple[Option, ...]
    commands: tuple[Command, ...]
