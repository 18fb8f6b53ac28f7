"""Questions that are asked again and again: a host that has no news need not repeat itself."""

from typing import Protocol, runtime_checkable

from modelset.core.ports import Web


@runtime_checkable
class Remembers(Protocol):
    """Questions whose answers may be remembered from one run to the next."""

    def remembering(self) -> Web:
        """The same questions, asked by the tags of the answers that are known."""


def asked_again(web: Web) -> Web:
    """The questions of a model that was asked about before, as cheap as they can be."""
    return web.remembering() if isinstance(web, Remembers) else web
