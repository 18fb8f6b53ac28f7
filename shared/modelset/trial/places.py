"""Finds what a job loads: files below a model's path, and packages that are models themselves."""

import os.path
from importlib import import_module
from pathlib import Path
from types import ModuleType

from modelset.store.files import read_text
from modelset.trial.values import Subject, UnfitError


def files(subject: Subject, *patterns: str) -> list[Path]:
    """The files of a model whose names match, by pattern: its path itself, or what is below it.

    Several models may share a folder, so of those files only what the catalog names counts where
    it names any.
    """
    path = Path(subject.path)
    if path.is_file() and any(path.match(pattern) for pattern in patterns):
        return [path]
    top = folder(subject)
    below = [one for pattern in patterns for one in sorted(top.rglob(pattern)) if one.is_file()]
    found = list(dict.fromkeys(below))
    names = _names(subject)
    named = [one for one in found if any(one.match(name) for name in names)]
    return named if path.is_file() else named or found


def _names(subject: Subject) -> list[str]:
    """The names that the catalog gives for files of a model, without their folders."""
    given = [subject.ref.get(field) for field in ("required", "allow")]
    texts = [text for names in given if isinstance(names, list | tuple) for text in names]
    return [name for text in texts if (name := str(text).rpartition("/")[2]).strip("*")]


def one_file(subject: Subject, *patterns: str) -> Path:
    """The first of the files that match; raises UnfitError when there is none."""
    found = files(subject, *patterns)
    if not found:
        raise UnfitError(f"no {' or '.join(patterns)} in {subject.path}")
    return found[0]


def folder(subject: Subject) -> Path:
    """The folder of a model."""
    path = Path(subject.path)
    return path.parent if path.is_file() else path


def package_name(subject: Subject) -> str:
    """The package that a wheel brought, from the name of its folder or its dist-info."""
    return Path(subject.path).name.partition("-")[0]


def own_module(subject: Subject, name: str) -> ModuleType:
    """Import a package that is the model itself; raises UnfitError when it is not the one that
    was placed, because another would be tried in its stead.
    """
    place = subject.roots.get("site-packages", "")
    try:
        module = import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise UnfitError(f"Python does not find {name} in {place}") from error
    where = os.path.realpath(module.__file__ or "")
    if not place or Path(where).is_relative_to(os.path.realpath(place)):
        return module
    raise UnfitError(f"Python finds another {name} first: {where}")


def text(path: Path) -> str:
    """The text of a small file; raises UnfitError when there is none."""
    found = read_text(path)
    if found is None:
        raise UnfitError(f"no {path.name} in {path.parent}")
    return found


def has_file(path: Path) -> bool:
    """Whether there is a file of this name."""
    return path.is_file()
