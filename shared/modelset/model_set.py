"""ModelSet: wires the ports, and offers everything that the commands do."""

import contextlib
import datetime
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from modelset import __version__
from modelset.core.catalog import Catalog, parse_catalog
from modelset.core.errors import ModelSetError
from modelset.core.hardware import Recommendation, Rule, capabilities, parse_rules, recommend
from modelset.core.profile import Profile
from modelset.core.report import check_exit_code
from modelset.core.select import Wishes, available, select
from modelset.core.types import Choice, Report, Selection
from modelset.engine.check import Inspector, Seen, total_bytes
from modelset.engine.guard import Stop
from modelset.engine.lock import read_lock
from modelset.probe.machine import load_or_profile
from modelset.settings import Settings, process_environ
from modelset.sources import SOURCES, check_ref
from modelset.store.catalog import catalog_texts, rules_text

if TYPE_CHECKING:  # what loads a socket library must not be loaded for a check
    from modelset.core.events import Emit
    from modelset.core.ports import Guard, Web, Wire
    from modelset.core.retry import OnRetry
    from modelset.engine.guard import RateLimit
    from modelset.engine.means import Places
    from modelset.engine.task import Terms, World


class ModelSet:
    """Every model of a project on this machine."""

    def __init__(self, settings: Settings, stop: Stop | None = None) -> None:
        self.settings = settings
        self.stop = stop or Stop()

    @cached_property
    def catalog(self) -> Catalog:
        """The built-in tables and the user's own; raises ModelSetError `catalog-invalid`."""
        texts = catalog_texts()
        if self.settings.catalog_text:
            texts[str(self.settings.config)] = self.settings.catalog_text
        return parse_catalog(texts, check_ref=self._check_ref, parse=self.settings.documents.parse)

    @cached_property
    def rules(self) -> tuple[Rule, ...]:
        """The hardware rules."""
        return parse_rules(self.settings.documents.parse(rules_text()))

    @cached_property
    def profile(self) -> Profile:
        """What the machine is, from `out/hardware_cache.json` where that still holds."""
        return self.profiled(refresh=False)

    def profiled(self, *, refresh: bool) -> Profile:
        """What the machine is; with `refresh`, looked at again."""
        cache = self.settings.out / "hardware_cache.json"
        return load_or_profile(cache, self.settings.models_root, refresh=refresh)

    @property
    def recommendation(self) -> Recommendation:
        """What the rules say of this machine."""
        return recommend(self.profile, self.rules)

    def select(self, wishes: Wishes) -> Selection:
        """The models that are wanted here; raises ModelSetError `unknown-model` or `usage`."""
        can = capabilities(self.profile) | ({"hf-token"} if self.settings.token else set())
        catalog, advice = self.catalog, self.recommendation
        self.settings.documents.keep()
        return select(
            catalog,
            wishes,
            capabilities=frozenset(can),
            recommended_whisper=advice.whisper,
            recommended_why=advice.reason,
        )

    def everything(self) -> Selection:
        """Every model of the catalog: chosen where this machine can use it, else left out."""
        return self.select(Wishes(keys=tuple(self.catalog.models)))

    def present_keys(self) -> frozenset[str]:
        """Keys of the locked models that are whole on this disk."""
        lock = read_lock(self.settings.lock)
        choices = tuple(Choice(model, model.tier, "") for model in self.catalog.models.values())
        seen = self._inspector.look(choices, lock)
        return frozenset(one.status.model.key for one in seen if one.status.presence == "present")

    def check(self, wishes: Wishes, *, deep: bool = False, strict: bool = False) -> Report:
        """What is on the disk, without a single socket; raises ModelSetError."""
        selection, seen = self._look(wishes, deep=deep)
        statuses = tuple(one.status for one in seen)
        corrupt = [one.model.key for one in statuses if one.presence == "corrupt"]
        if corrupt:
            self._distrust(corrupt)
        barred = {row.model.key for row in self.everything().left_out}
        return Report(
            statuses=statuses,
            left_out=selection.left_out,
            available=tuple(
                model for model in available(self.catalog, selection) if model.key not in barred
            ),
            total_bytes=total_bytes(seen),
            exit_code=check_exit_code(statuses, strict=strict),
        )

    def download(self, wishes: Wishes, terms: "Terms", emit: "Emit | None" = None) -> Report:
        """Bring what is missing; raises ModelSetError for what concerns the run as a whole."""
        from modelset.core.events import ignore
        from modelset.engine.download import Download  # check must not load a socket library

        with self._world(emit or ignore) as world:
            return Download(world, terms).run(self.select(wishes))

    def _look(self, wishes: Wishes, *, deep: bool) -> tuple[Selection, list[Seen]]:
        selection = self.select(wishes)
        lock = read_lock(self.settings.lock)
        return selection, self._inspector.look(selection.choices, lock, deep=deep)

    def _distrust(self, keys: list[str]) -> None:
        """Make the next download read what a check found corrupt, whatever the registry says."""
        from modelset.store.registry import forget

        with contextlib.suppress(ModelSetError):  # a read-only machine can still be checked
            forget(self.settings.roots["registry"], keys)

    @contextlib.contextmanager
    def _world(self, emit: "Emit") -> Iterator["World"]:
        import certifi

        from modelset.engine.guard import RateLimit
        from modelset.engine.task import World
        from modelset.net.index import PipIndex
        from modelset.net.transfer import WireSettings
        from modelset.net.web import HttpWeb
        from modelset.net.wire import CurlWire

        own = self.settings
        throttle = RateLimit(own.limit_rate.rate_at) if own.limit_rate.is_bounded else None
        wire = CurlWire(
            WireSettings(
                connect_s=own.connect_s,
                stall_s=own.stall_s,
                ca_file=own.ca_file or ("" if own.ca_folder else certifi.where()),
                ca_folder=own.ca_folder,
                ca_origin=own.origins["ca_file"],
                proxies=own.proxies,
                user_agent=f"modelset/{__version__}",
            ),
            throttle,
        )
        index = PipIndex(own.index_url, own.ca_file or own.ca_folder)

        def make_web(guard: "Guard", on_retry: "OnRetry") -> "Web":
            return HttpWeb(
                wire,
                guard,
                mirrors=own.mirrors,
                credentials=own.credentials,
                index=index,
                on_retry=on_retry,
            )

        places = self._places(wire, throttle)
        try:
            yield World(self._inspector, places, make_web, own.lock, self.stop, emit, _now)
        finally:
            wire.close()

    def _places(self, wire: "Wire", throttle: "RateLimit | None") -> "Places":
        from modelset.engine.means import Places
        from modelset.net.xet import XetSettings, XetWire, needs_xet
        from modelset.store.scratch import scratch

        own = self.settings
        downloads = own.roots["downloads"]
        xet = XetWire(
            wire,
            XetSettings(process_environ(), own.connect_s, own.stall_s, ca_file=own.ca_file),
            mirrors=own.mirrors,
            scratch=lambda: scratch(downloads),
            throttle=throttle,
        )
        ways = {"http": lambda artifact: False, "xet": lambda artifact: True, "auto": needs_xet}
        return Places(wire, downloads, own.mirrors, own.credentials, xet, ways[own.transport])

    @property
    def _inspector(self) -> Inspector:
        return Inspector(SOURCES, self.settings.roots)

    def _check_ref(self, source: str, ref: Mapping[str, object]) -> list[str]:
        problems = check_ref(source, ref)
        root = ref.get("root")
        if not problems and root is not None and root not in self.settings.roots:
            problems.append(f"ref.root: unknown, use one of {', '.join(self.settings.roots)}")
        return problems


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
