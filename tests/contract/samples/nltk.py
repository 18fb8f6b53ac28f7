"""NLTK: the index of its data packages."""

from __future__ import annotations

from xml.sax.saxutils import quoteattr

from hypothesis import strategies as st
from tests.fakes.samples import ADDRESSES, NAMES, PATHS, Sample, model, sha256
from tests.fakes.web import FakeWeb

from modelset.core.types import Model

INDEX = "https://raw.githubusercontent.com/nltk/nltk_data/gh-pages/index.xml"
ARCHIVE = (
    "https://raw.githubusercontent.com/nltk/nltk_data/gh-pages/packages/sentiment/thing_lexicon.zip"
)
ROW = {
    "id": "thing_lexicon",
    "name": "Words & <Things>",
    "subdir": "sentiment",
    "unzip": "0",
    "unzipped_size": "426786",
    "size": "90486",
    "checksum": "0123456789abcdef0123456789abcdef",
    "sha256_checksum": sha256("lexicon"),
    "url": ARCHIVE,
}


def row(**changes: str | None) -> str:
    """A package of the index; a field that is None is left out."""
    values = {name: text for name, text in {**ROW, **changes}.items() if text is not None}
    return f"<package {' '.join(f'{name}={quoteattr(text)}' for name, text in values.items())} />"


def index_of(*rows: str) -> str:
    return (
        '<?xml version="1.0"?>\n<?xml-stylesheet href="index.xsl" type="text/xsl"?>\n'
        f"<nltk_data><packages>{''.join(rows)}</packages>"
        "<collections><collection id='all'><item ref='thing_lexicon'/></collection></collections>"
        "</nltk_data>"
    )


def web_of(*rows: str) -> FakeWeb:
    return FakeWeb(texts={INDEX: index_of(*rows)})


LEXICON = model("nltk", {"package": "thing_lexicon"})
SAMPLES = {
    "two sums": Sample(LEXICON, lambda: web_of(row(id="punkt", subdir="tokenizers"), row())),
    "an older index": Sample(LEXICON, lambda: web_of(row(sha256_checksum=None))),
}
BAD_REF = ({"package": "../x", "extra": 1}, ("ref.package: unsafe", "ref.extra"))
# Each entity is ten of the one before it: a few lines that would be gigabytes.
BOMB = (
    '<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a0 "'
    + "x" * 1000
    + '">'
    + "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 8))
    + "]><nltk_data><packages>&a7;</packages></nltk_data>"
)
OUTSIDE = (
    '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>'
    "<nltk_data><packages>&e;</packages></nltk_data>"
)


def _evil() -> dict[str, tuple[Model, FakeWeb]]:
    found: dict[str, tuple[Model, FakeWeb]] = {}
    for word, text in {
        "nothing": "",
        "words": "404: Not Found",
        "cut": index_of(row())[:-20],
        "JSON": "{}",
        "a bomb": BOMB,
        "a file from elsewhere": OUTSIDE,
        "half a character": "<a>\ud800</a>",
        "a NUL": "<a>\0</a>",
    }.items():
        found[f"the index is {word}"] = LEXICON, FakeWeb(texts={INDEX: text})
    for word, name in NAMES.items():
        if isinstance(name, str) and word not in ("a NUL", "half a character", "a line"):
            found[f"a folder is {word}"] = LEXICON, web_of(row(subdir=name))
    for size in ("-1", "", "1e9", "many", "0x10", "9" * 5000):
        found[f"a size is {size[:9]!r}"] = LEXICON, web_of(row(size=size))
    for digest in ("abc", "../" * 21 + "x", "A" * 64):
        found[f"a sha256 is {digest[:9]!r}"] = LEXICON, web_of(row(sha256_checksum=digest))
        odd = row(sha256_checksum=None, checksum=digest)
        found[f"an md5 is {digest[:9]!r}"] = LEXICON, web_of(odd)
    for word, url in ADDRESSES.items():
        found[f"the address is {word}"] = LEXICON, web_of(row(url=url))
    for field in ("subdir", "size", "url"):
        found[f"a package without {field}"] = LEXICON, web_of(row(**{field: None}))
    found["a package without a sum"] = LEXICON, web_of(row(checksum=None, sha256_checksum=None))
    return found


EVIL = _evil()
_PLAIN = st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=0x2FF), max_size=8)
FUZZ = (
    LEXICON,
    st.builds(
        lambda subdir, size, url: web_of(row(subdir=subdir, size=size, url=url)),
        PATHS.map(lambda text: text.replace("\0", "")) | _PLAIN,
        st.just("9") | _PLAIN,
        st.just(ARCHIVE) | _PLAIN,
    )
    | st.text(alphabet="<>/=\"'&;!abc ", max_size=40).map(
        lambda text: FakeWeb(texts={INDEX: text})
    ),
)
