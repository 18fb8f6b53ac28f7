"""Everything an answer may depend on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from modelset.demo.content import Content
from modelset.demo.git_repos import GitRepo
from modelset.demo.images import Image
from modelset.demo.repos import Repo
from modelset.demo.signing import Signer
from modelset.demo.wheels import Wheel


@dataclass(frozen=True, slots=True)
class Site:
    """What is served, where, and on which terms.

    `files` are plain files and archives by their addresses without `https://`. `git` are
    repositories as GitHub holds them, `images` the models of the Ollama registry.
    `cdn` is the origin of the content network. `page_size` is how many tree entries
    go on one page. `objects` holds what a signed address was given for, by its sha256.
    """

    repos: Mapping[str, Repo]
    wheels: Mapping[str, Wheel]
    files: Mapping[str, Content]
    git: Mapping[str, GitRepo]
    images: Mapping[str, Image]
    signer: Signer
    cdn: str
    page_size: int
    is_token_needed: bool
    objects: dict[str, Content] = field(default_factory=dict)

    def signed_address(self, content: Content, name: str) -> str:
        """Return an address on the content network that opens for a while."""
        self.objects[content.sha256] = content
        path = f"/objects/{content.sha256}/{quote(name.rpartition('/')[2])}"
        return f"{self.cdn}{path}?{self.signer.query(path)}"
