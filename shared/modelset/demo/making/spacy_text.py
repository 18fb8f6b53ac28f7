"""The sentences that the demo language pipelines learn from."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

PEOPLE = ("Alice Brown", "John Smith", "Maria Garcia", "Wei Chen", "Tim Cook", "Sara")
PLACES = ("London", "Paris", "New York", "Berlin", "Hanoi", "France")
COMPANIES = ("Apple", "Google", "Microsoft", "Siemens", "Acme Corp", "IBM")

# A slot is written {PERSON}, {GPE} or {ORG}; every other word carries its tag after a slash.
TEMPLATES = (
    "{PERSON} lives/VBZ in/IN {GPE} ./.",
    "{PERSON} works/VBZ at/IN {ORG} in/IN {GPE} ./.",
    "{ORG} opened/VBD a/DT new/JJ office/NN in/IN {GPE} ./.",
    "yesterday/RB {PERSON} met/VBD {ORG} ./.",
    "the/DT weather/NN in/IN {GPE} is/VBZ good/JJ ./.",
    "{ORG} is/VBZ looking/VBG at/IN buying/VBG a/DT small/JJ company/NN ./.",
    "she/PRP asked/VBD {PERSON} about/IN the/DT new/JJ plan/NN ./.",
    "this/DT is/VBZ a/DT short/JJ sentence/NN ./.",
)

NAMES = {"PERSON": PEOPLE, "GPE": PLACES, "ORG": COMPANIES}


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence with its tags and its named spans (start, end, label), in characters."""

    words: tuple[str, ...]
    tags: tuple[str, ...]
    spans: tuple[tuple[int, int, str], ...]


def sentences() -> list[Sentence]:
    """Return every template with every third combination of names."""
    found = []
    for template in TEMPLATES:
        slots = [word[1:-1] for word in template.split() if word.startswith("{")]
        choices = list(product(*(NAMES[slot] for slot in slots)))[::3]
        found += [_fill(template, names) for names in choices]
    return found


def _fill(template: str, names: tuple[str, ...]) -> Sentence:
    words: list[str] = []
    tags: list[str] = []
    spans: list[tuple[int, int, str]] = []
    waiting = iter(names)
    for part in template.split():
        if part.startswith("{"):
            name = next(waiting)
            start = sum(len(word) + 1 for word in words)
            spans.append((start, start + len(name), part[1:-1]))
            words += name.split()
            tags += ["NNP"] * len(name.split())
        else:
            word, tag = part.rsplit("/", 1)
            words.append(word)
            tags.append(tag)
    return Sentence(tuple(words), tuple(tags), tuple(spans))
