"""Data packages of NLTK, by its index; they stay zipped, where the library reads them.

The library (nltk 3.10, `data.py`) refuses what others than its owner may change.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from modelset.core.errors import ModelSetError
from modelset.core.layout import Layout, PutFile
from modelset.core.refs import check_url, ref_problems, value_problems
from modelset.core.types import Artifact, Model, Pin, check_name

if TYPE_CHECKING:  # a check must start fast
    from modelset.core.ports import Source, Web

INDEX = "https://raw.githubusercontent.com/nltk/nltk_data/gh-pages/index.xml"


class Nltk:
    """The index of nltk_data."""

    def resolve(self, model: Model, web: Web) -> Pin:
        """The archive that the index gives for a package, with the better of its two digests."""
        from xml.etree import ElementTree  # here, because a check must start fast

        package = str(model.ref["package"])
        text = web.get_text(INDEX)
        try:
            # libexpat itself stops entities that grow without bound.
            rows = ElementTree.fromstring(text).iter("package")  # noqa: S314
            row = next((row.attrib for row in rows if row.get("id") == package), None)
            if row is None:
                raise ModelSetError(
                    "not-found",
                    f"{model.key}: NLTK's index has no package {package}",
                    f"look for its name in {INDEX}",
                )
            sha256 = row.get("sha256_checksum")
            digest = f"sha256:{sha256}" if sha256 else f"md5:{row['checksum']}"
            name = f"{check_name(row['subdir'])}/{package}.zip"
            artifact = Artifact(name, check_url(row["url"]), int(row["size"]), digest)
        except (ElementTree.ParseError, KeyError, ValueError) as error:
            raise ModelSetError("bad-response", f"{model.key}: {INDEX} is odd: {error}") from error
        return Pin(model.key, "nltk", dict(model.ref), artifact.hex[:12], (artifact,))

    def layout(self, pin: Pin) -> Layout:
        """The archive in the folder of its kind."""
        (artifact,) = pin.artifacts
        return Layout("nltk", (PutFile(artifact.name, artifact),), artifact.name, guarded=True)

    def trace(self, ref: Mapping[str, object]) -> tuple[str, str]:
        """The archive in whatever folder."""
        return "nltk", f"*/{ref['package']}.zip"

    def check_access(self, model: Model, web: Web) -> None:
        """Nothing to ask: the packages are open."""

    def check_ref(self, ref: Mapping[str, object]) -> list[str]:
        """Problems of a `ref`, in words."""
        problems = ref_problems("nltk", ref, {"package": str}, ("package",))
        return [*problems, *value_problems(ref, "package", check_name)]


SOURCE: Source = Nltk()
