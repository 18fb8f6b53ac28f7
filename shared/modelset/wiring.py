"""Connects the ports of a run that may use the network."""

import contextlib
import datetime
from collections.abc import Iterator

from modelset import __version__
from modelset.core.catalog import Catalog
from modelset.core.events import Emit
from modelset.core.mirrors import Credentials, credential_of
from modelset.core.ports import Guard, Web, Wire
from modelset.core.retry import OnRetry
from modelset.core.types import Pin
from modelset.engine.check import Inspector
from modelset.engine.guard import RateLimit, Stop
from modelset.engine.means import Places
from modelset.engine.task import World
from modelset.net.index import PipIndex
from modelset.net.transfer import WireSettings
from modelset.net.web import HttpWeb
from modelset.net.wire import CurlWire
from modelset.net.xet import XetSettings, XetWire, needs_xet
from modelset.settings import Settings
from modelset.store.answers import Answers
from modelset.store.here import Surroundings
from modelset.store.scratch import scratch


@contextlib.contextmanager
def open_world(
    own: Settings, catalog: Catalog, inspector: Inspector, stop: Stop, emit: Emit
) -> Iterator[World]:
    """What a download works on, until the block ends."""
    throttle = RateLimit(own.limit_rate.rate_at) if own.limit_rate.is_bounded else None
    wire = CurlWire(
        WireSettings(
            connect_s=own.connect_s,
            stall_s=own.stall_s,
            ca_file=own.ca_file,
            ca_folder=own.ca_folder,
            ca_origin=own.origins["ca_file"],
            proxies=own.proxies,
            user_agent=f"modelset/{__version__}",
        ),
        throttle,
    )
    index = PipIndex(own.index_url, own.ca_file or own.ca_folder, own.environ)
    here = Surroundings(own.roots, own.environ)
    credentials = _credentials(own, catalog, inspector, here)
    answers = Answers(own.roots["registry"] / "answers")

    def make_web(guard: Guard, on_retry: OnRetry) -> Web:
        return HttpWeb(
            wire,
            guard,
            mirrors=own.mirrors,
            credentials=credentials,
            index=index,
            here=here,
            on_retry=on_retry,
            memory=answers,
        )

    places = _places(own, wire, throttle)
    try:
        yield World(inspector, places, make_web, own.lock, stop, emit, _now, own.policy)
    finally:
        wire.close()


def _credentials(
    own: Settings, catalog: Catalog, inspector: Inspector, here: Surroundings
) -> Credentials:
    """Those of the settings, and the keys of the providers that the catalog knows."""
    found = own.credentials
    for model in catalog.models.values():
        if model.source == "api" and "check" in model.ref:
            pin = Pin(model.key, model.source, model.ref, "key", ())
            secret = here.secret(inspector.sources[model.source].layout(pin))
            if secret:
                found |= credential_of(model.ref, secret)
    return found


def _places(own: Settings, wire: Wire, throttle: RateLimit | None) -> Places:
    downloads = own.roots["downloads"]
    xet = XetWire(
        wire,
        XetSettings(dict(own.environ), own.connect_s, own.stall_s, ca_file=own.ca_file),
        mirrors=own.mirrors,
        scratch=lambda: scratch(downloads),
        throttle=throttle,
    )
    ways = {"http": lambda artifact: False, "xet": lambda artifact: True, "auto": needs_xet}
    return Places(wire, downloads, own.mirrors, own.credentials, xet, ways[own.transport])


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
