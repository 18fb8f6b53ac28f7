"""What `modelset doctor` looks at: what was written down, what was left, what others keep."""

import json
from collections.abc import Iterator

from modelset.cli.doctor_looks import HasTime
from modelset.core.doctor import Finding
from modelset.core.errors import ModelSetError
from modelset.core.words import size_text
from modelset.engine.lock import read_lock
from modelset.model_set import ModelSet
from modelset.probe import doctor as probe
from modelset.store.elsewhere import known_places, look, project_folders, user_home
from modelset.store.files import is_there, read_text
from modelset.store.registry import READABLE, SCHEMA_VERSION


def catalog(models: ModelSet, has_time: HasTime) -> Iterator[Finding]:
    """The catalog can be read, with the user's own tables."""
    yield Finding("Catalog", "ok", f"{len(models.catalog.models)} models")


def lock(models: ModelSet, has_time: HasTime) -> Iterator[Finding]:
    """The lock can be read."""
    path = models.settings.lock
    locked = read_lock(path)
    if locked or is_there(path):
        yield Finding("Lock", "ok", f"{len(locked)} models in {path}")
    else:
        yield Finding("Lock", "note", "nothing is locked yet", "modelset download")


def registry(models: ModelSet, has_time: HasTime) -> Iterator[Finding]:
    """The registry can be read; without it every file is hashed before it counts again."""
    path = models.settings.roots["registry"] / "registry.json"
    mend = "modelset registry --rebuild"
    try:
        text = read_text(path)
        if text is None:
            yield Finding("Registry", "note", "nothing is registered yet", "modelset download")
            return
        document = json.loads(text)
        version, count = document["schema_version"], len(document["models"])
    except (ModelSetError, ValueError, KeyError, TypeError, RecursionError):
        yield Finding("Registry", "warn", f"{path} cannot be read", mend)
        return
    if version not in READABLE:
        words = f"{path} is of version {version}, this program knows {SCHEMA_VERSION}"
        yield Finding("Registry", "warn", words, mend)
    else:
        yield Finding("Registry", "ok", f"{count} models in {path}")


def leftovers(models: ModelSet, has_time: HasTime) -> Iterator[Finding]:
    """What unfinished downloads left, ours and those of huggingface_hub."""
    roots = models.settings.roots
    for name, suffix, words in (
        ("downloads", "", "of unfinished downloads"),
        ("huggingface", ".incomplete", "that huggingface_hub has not finished"),
    ):
        found = probe.measure(roots[name], has_time, suffix)
        if found.size:
            mend = "`modelset download` resumes what it can, `modelset clean` removes it"
            words = f"{_sized(found)} {words} in {roots[name]}"
            yield Finding("Leftovers", "note", words, mend)


def elsewhere(models: ModelSet, has_time: HasTime) -> Iterator[Finding]:
    """Models that other programs keep, which need not be fetched again."""
    settings = models.settings
    environ, roots = settings.environ, settings.roots
    here = project_folders(settings.project)
    for place in known_places(environ, user_home(environ), here, roots):
        if place.is_own or place.root == "site-packages":
            continue
        seen = look(place, roots, is_late=lambda: not has_time())
        sizes = {file.inode: file.size for file in seen.files}
        if sizes:
            found = probe.Sized(len(sizes), sum(sizes.values()), not seen.notes)
            words = f"{place.title}: {_sized(found)} in {place.path}"
            yield Finding("Other programs", "note", words, "modelset detect")


def _sized(found: probe.Sized) -> str:
    files = f"{found.files} file{'' if found.files == 1 else 's'}"
    return f"{'' if found.is_whole else 'more than '}{size_text(found.size)} ({files})"
