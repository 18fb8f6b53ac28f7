"""What an unpacked model has to hold for its library, as far as names and sizes can tell."""

from collections.abc import Collection, Mapping

# Each library with its kinds of models: what it opens and does not do without (vosk 0.3.45). Lists
# of words are not here: a graph may hold them itself.
_NEEDS = {
    "vosk": (
        ("am/final.mdl", "conf/mfcc.conf", "conf/model.conf", "graph/HCLr.fst", "graph/Gr.fst"),
        ("am/final.mdl", "conf/mfcc.conf", "conf/model.conf", "graph/HCLG.fst"),
        ("final.mdl", "mfcc.conf", "HCLr.fst", "Gr.fst"),
        ("final.mdl", "mfcc.conf", "HCLG.fst"),
        ("final.ext.raw", "mfcc.conf", "mean.vec", "transform.mat"),
    )
}
# No archive says more than this of one entry, nor of itself, and nothing grows by more when it is
# packed.
_ABOUT_ENTRY = 1024
_ABOUT_ITSELF = 10 * 1024
_GROWTH = 1.01
_SHOWN = 3


def flaw_of(library: str, files: Mapping[str, int], archive_size: int) -> str:
    """Why files of these sizes cannot be all that was in an archive, in words; else nothing."""
    missing = lacking_for(library, files)
    folders = {name.rpartition("/")[0] for name in files}
    if not files:
        return "holds no file"
    if missing:
        more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        return f"lacks {', '.join(missing[:_SHOWN])}{more}"
    if is_cut(archive_size, sum(files.values()), len(files) + len(folders)):
        return "holds less than the archive does"
    return ""


def lacking_for(library: str, names: Collection[str]) -> tuple[str, ...]:
    """The files that a library is sure to miss: of the kind of model that is nearest."""
    kinds = [tuple(name for name in kind if name not in names) for kind in _NEEDS.get(library, ())]
    return min(kinds, key=len, default=())


def is_cut(archive_size: int, size: int, count: int) -> bool:
    """Whether so many entries of so many bytes are less than an archive was made of."""
    return size * _GROWTH + count * _ABOUT_ENTRY + _ABOUT_ITSELF < archive_size
