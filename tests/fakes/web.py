"""Two webs for sources to ask: one of prepared answers, one of the real wire and the demo hub."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from modelset.core.errors import ModelSetError
from modelset.core.layout import Layout
from modelset.core.mirrors import Credentials
from modelset.core.ports import Web, Wheel
from modelset.core.types import Artifact
from modelset.engine.guard import RunGuard, Stop
from modelset.net.index import PipIndex
from modelset.net.transfer import WireSettings
from modelset.net.web import HttpWeb
from modelset.net.wire import CurlWire
from modelset.settings import load_settings
from modelset.store.here import Surroundings


@dataclass
class FakeWeb:
    """Answers from tables; what is in none of them is `not-found`, as on the real web.

    `key` is whether the key that a layout wants is on this machine.
    """

    json: Mapping[str, Any] = field(default_factory=dict)
    texts: Mapping[str, Any] = field(default_factory=dict)
    pages: Mapping[str, Any] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)
    statuses: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    wheels: Mapping[str, Wheel] = field(default_factory=dict)
    packages: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, tuple[Artifact, ...]] = field(default_factory=dict)
    token: bool = False
    key: bool = False
    asked: list[str] = field(default_factory=list)
    accepted: list[str] = field(default_factory=list)

    def get_json(self, url: str) -> Any:
        return self._answer(self.json, url)

    def get_text(self, url: str, accept: str = "text/plain") -> str:
        self.accepted.append(accept)
        return self._answer(self.texts, url)

    def get_pages(self, url: str) -> list[Any]:
        return self._answer(self.pages, url)

    def get_size(self, url: str) -> int:
        return self._answer(self.sizes, url)

    def status_of(self, url: str) -> tuple[int, str]:
        return self._answer(self.statuses, url)

    def has_token(self) -> bool:
        return self.token

    def has_credential(self, layout: Layout) -> bool:
        return self.key

    def find_wheel(self, requirement: str) -> Wheel:
        return self._answer(self.wheels, requirement)

    def installed(self, distribution: str) -> str:
        return self.packages.get(distribution, "")

    def local_files(self, path: str) -> tuple[Artifact, ...]:
        return self._answer(self.files, path)

    def _answer(self, table: Mapping[str, Any], question: str) -> Any:
        self.asked.append(question)
        if question not in table:
            raise ModelSetError("not-found", f"{question} is not here")
        return table[question]


@contextlib.contextmanager
def hub_web(
    config: Path,
    *,
    token: str = "",
    variables: Mapping[str, str] = MappingProxyType({}),
    credentials: Credentials = MappingProxyType({}),
) -> Iterator[Web]:
    """The web as a run has it, with the mirrors of a configuration that leads to a demo hub.

    `variables` are more of the environment, `credentials` more than the settings have.
    """
    environ = {"MODELSET_CONFIG": str(config), "XDG_CACHE_HOME": str(config.parent), "HOME": "/"}
    environ |= {"HF_TOKEN": token} if token else {}
    environ |= variables
    settings = load_settings({}, environ, config.parent)
    wire = CurlWire(WireSettings())
    try:
        yield HttpWeb(
            wire,
            RunGuard(Stop(), 30),
            mirrors=settings.mirrors,
            credentials={**settings.credentials, **credentials},
            index=PipIndex(settings.index_url),
            here=Surroundings(settings.roots, settings.environ),
            on_retry=lambda error, number, delay_s: None,
        )
    finally:
        wire.close()
