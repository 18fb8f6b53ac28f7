"""Everything an answer may depend on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from modelset.demo.content import Content
from modelset.demo.repos import Repo
from modelset.demo.signing import Signer
from modelset.demo.wheels import Wheel


@dataclass(frozen=True, slots=True)
class Site:
    """What is served, where, and on which terms.

    `cdn` is the origin of the content network. `page_size` is how many tree entries
    go on one page. `objects` holds the large files by their sha256.
    """

    repos: Mapping[str, Repo]
    wheels: Mapping[str, Wheel]
    objects: Mapping[str, Content]
    signer: Signer
    cdn: str
    page_size: int
    is_token_needed: bool

    def signed_address(self, content: Content, name: str) -> str:
        """Return an address on the content network that opens for a while."""
        path = f"/objects/{content.sha256}/{quote(name.rpartition('/')[2])}"
        return f"{self.cdn}{path}?{self.signer.query(path)}"


def large_objects(repos: Mapping[str, Repo], wheels: Mapping[str, Wheel]) -> dict[str, Content]:
    """Return what the content network holds, by sha256."""
    files = [file.content for repo in repos.values() for file in repo.files.values() if file.is_lfs]
    files += [wheel.content for wheel in wheels.values()]
    return {content.sha256: content for content in files}
