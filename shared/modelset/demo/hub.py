"""The demo hub: two origins on loopback, one for the hub and one for its content network."""

from __future__ import annotations

import secrets
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from modelset.demo import answers, cdn
from modelset.demo.exchange import Ask, Reply
from modelset.demo.files import build_files
from modelset.demo.folders import MODELS, Folders
from modelset.demo.git_repos import build_git_repos
from modelset.demo.images import build_images
from modelset.demo.journal import Journal, Seen
from modelset.demo.listener import Listener, Terms
from modelset.demo.repos import build_repos
from modelset.demo.signing import Signer
from modelset.demo.site import Site
from modelset.demo.tables import whisper_tables
from modelset.demo.wheels import build_wheels


class DemoHub:
    """Serves from `start` to `stop`, or for the length of a `with` block.

    `latency` is in seconds before each answer. `link_lifetime` is how long a signed
    address opens, in seconds; 0 makes every one of them expired. `page_size` is how many
    tree entries go on one page. `port` is that of the hub; the content network takes any.
    `models` holds the folders that everything is made of.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        latency: float = 0.0,
        is_token_needed: bool = True,
        page_size: int = 1000,
        link_lifetime: float = 3600.0,
        log: Path | None = None,
        models: Path = MODELS,
    ) -> None:
        folders = Folders(models)
        self._journal = Journal(log)
        self._hub, self._cdn = Listener(port), Listener()
        self.site = Site(
            repos=build_repos(folders),
            wheels=build_wheels(folders),
            files=build_files(folders),
            git=build_git_repos(folders),
            images=build_images(folders),
            signer=Signer(secrets.token_bytes(32), link_lifetime),
            cdn=self._cdn.url,
            page_size=page_size,
            is_token_needed=is_token_needed,
        )
        self._tables = whisper_tables(folders)
        self._hub.terms = Terms("hub", self._answer_hub, self._journal, latency)
        self._cdn.terms = Terms("cdn", self._answer_cdn, self._journal, latency)

    @property
    def url(self) -> str:
        """Return the hub's origin; the Hub itself is there and under `/hf`."""
        return self._hub.url

    @property
    def cdn_url(self) -> str:
        """Return the content network's origin."""
        return self._cdn.url

    @property
    def tables(self) -> str:
        """Return the catalog tables, as TOML, of the models that are the demo's own."""
        return self._tables

    @property
    def requests(self) -> list[Seen]:
        """Return every request so far, to both origins, oldest first."""
        return self._journal.all()

    def forget_requests(self) -> None:
        """Begin `requests` afresh."""
        self._journal.clear()

    def start(self) -> None:
        """Begin to answer; connections made before this wait."""
        for listener in (self._hub, self._cdn):
            threading.Thread(target=listener.serve_until_stopped, daemon=True).start()

    def stop(self) -> None:
        """Stop answering and hang up; must follow `start`."""
        self._hub.stop()
        self._cdn.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _answer_hub(self, ask: Ask) -> Reply:
        return answers.answer(self.site, ask)

    def _answer_cdn(self, ask: Ask) -> Reply:
        return cdn.answer(self.site, ask)
