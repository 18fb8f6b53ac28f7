"""ModelSet: wires the ports, and offers everything that the commands do."""

import contextlib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from modelset.core.catalog import Catalog, parse_catalog
from modelset.core.errors import ModelSetError
from modelset.core.hardware import Recommendation, Rule, capabilities, parse_rules, recommend
from modelset.core.lock import Lock, is_current
from modelset.core.profile import Profile
from modelset.core.report import check_exit_code, is_key
from modelset.core.select import Wishes, available, select, with_locked
from modelset.core.types import Choice, Pin, Report, Selection
from modelset.engine.check import Inspector, Seen, total_bytes
from modelset.engine.guard import Stop
from modelset.engine.lock import read_lock, turn
from modelset.probe.machine import load_or_profile
from modelset.settings import Settings, load_settings
from modelset.sources import SOURCES, check_ref
from modelset.store.catalog import catalog_texts, rules_text
from modelset.store.files import state_of
from modelset.store.roots import MODEL_ROOTS

if TYPE_CHECKING:  # what loads a socket library must not be loaded for a check
    from contextlib import AbstractContextManager

    from modelset.core.events import Emit
    from modelset.engine.task import Terms, World
    from modelset.engine.verify import Verified


class ModelSet:
    """Every model of a project on this machine."""

    def __init__(self, settings: Settings, stop: Stop | None = None) -> None:
        self.settings = settings
        self.stop = stop or Stop()
        self._lock: tuple[object, Lock] | None = None

    @classmethod
    def open(cls, **flags: object) -> "ModelSet":
        """The models of the project around here; `flags` are settings as the command line has
        them. Raises ModelSetError `config-invalid`.
        """
        return cls(load_settings(flags))

    @cached_property
    def catalog(self) -> Catalog:
        """The built-in tables and the user's own; raises ModelSetError `catalog-invalid`."""
        texts = catalog_texts()
        own = self.settings.catalog_text
        return parse_catalog(
            texts | {str(self.settings.config): own} if own else texts,
            check_ref=self._check_ref,
            parse=self.settings.documents.parse,
            sound=texts.keys(),  # the tests have looked
        )

    @cached_property
    def rules(self) -> tuple[Rule, ...]:
        """The hardware rules."""
        return parse_rules(self.settings.documents.parse(rules_text()))

    @cached_property
    def inspector(self) -> Inspector:
        """What compares pins with this disk."""
        return Inspector(SOURCES, self.settings.roots, self.settings.environ)

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
        by_name = bool(wishes.components or wishes.category)
        return select(
            catalog,
            wishes,
            capabilities=frozenset(can),
            recommended_whisper=advice.whisper,
            recommended_why=advice.reason,
            lacking=self._lacking() if by_name else {},
            besides=self.settings.besides,
        )

    def wanted(self, wishes: Wishes) -> tuple[Selection, Lock]:
        """What is asked for, and the lock; without a word, the set and all that is locked."""
        selection = self.select(wishes)
        lock = read_lock(self.settings.lock)
        if wishes == Wishes():
            selection = with_locked(self.catalog, selection, lock)
        return selection, lock

    def _lacking(self) -> dict[str, str]:
        """Of which providers there is no key."""
        found = {}
        for key, model in self.catalog.models.items():
            if model.source == "api":
                pin = Pin(key, model.source, model.ref, "key", ())
                seen = self.inspector.look_at(Choice(model, model.tier, ""), pin, {})
                if seen.status.presence != "present":
                    found[key] = f"no {model.ref['variable']}"
        return found

    def everything(self) -> Selection:
        """Every model of the catalog: chosen where this machine can use it, else left out."""
        return self.select(Wishes(keys=tuple(self.catalog.models)))

    def present_keys(self) -> frozenset[str]:
        """Keys of the locked models that are whole on this disk."""
        lock = read_lock(self.settings.lock)
        models = [model for key, model in self.catalog.models.items() if key in lock]
        choices = tuple(Choice(model, model.tier, "") for model in models)
        seen = self.inspector.look(choices, lock)
        return frozenset(one.status.model.key for one in seen if one.status.presence == "present")

    def check(self, wishes: Wishes, *, deep: bool = False, strict: bool = False) -> Report:
        """What is on the disk, without a single socket; raises ModelSetError."""
        selection, lock = self.wanted(wishes)
        seen = self.inspector.look(selection.choices, lock, deep=deep)
        return self._report(selection, seen, strict=strict)

    def _report(self, selection: Selection, seen: list[Seen], *, strict: bool) -> Report:
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

    def world(self, emit: "Emit | None" = None) -> "AbstractContextManager[World]":
        """What a run over the network works on, until the block ends."""
        from modelset.core.events import ignore
        from modelset.wiring import open_world  # check must not load a socket library

        return open_world(self.settings, self.catalog, self.inspector, self.stop, emit or ignore)

    @property
    def terms(self) -> "Terms":
        """How to download, as the settings have it."""
        from modelset.engine.task import Terms

        own = self.settings
        return Terms(own.max_workers, own.connections, own.timeout_s)

    def download(self, wishes: Wishes, terms: "Terms", emit: "Emit | None" = None) -> Report:
        """Bring what is missing; raises ModelSetError for what concerns the run as a whole."""
        from modelset.engine.download import Download

        with self.world(emit) as world:
            return Download(world, terms).run(self.select(wishes))

    def verify(self, wishes: Wishes, *, fast: bool = False) -> Report:
        """Every digest, offline, and each key's provider's own word; raises ModelSetError."""
        return self.verified(wishes, fast=fast).report

    def verified(self, wishes: Wishes, *, fast: bool, emit: "Emit | None" = None) -> "Verified":
        """The same with each bad file; with `fast`, only what has changed is read."""
        from modelset.core.events import ignore
        from modelset.engine.verify import Manner, ask_providers, look_deep, verdict
        from modelset.store.registry import read_registry

        selection, lock = self.wanted(wishes)
        manner = Manner(self.profile.cores_logical, self.stop, emit or ignore, fast)
        seen, count = look_deep(self.inspector, selection.choices, lock, manner)
        registry = read_registry(self.settings.roots["registry"])
        report = self._report(selection, seen, strict=False)
        if any(map(is_key, report.statuses)):
            with self.world() as world:
                report = ask_providers(report, world)
        return verdict(seen, registry, report, count)

    def path(self, key: str) -> Path:
        """Where a model lies, for a program that loads it; opens no socket.

        Raises ModelSetError `unknown-model`, and `model-missing` when it is not whole here.
        """
        model = self.catalog.get(key)
        pin = self._locked().get(model.key)
        if pin is not None and is_current(pin, model):
            seen = self.inspector.look_at(Choice(model, model.tier, ""), pin, {})
            layout = seen.layout
            if layout is not None and seen.status.presence == "present":
                return self.settings.roots[layout.root] / (layout.opened or layout.folder)
        raise ModelSetError(
            "model-missing",
            f"{model.key} is not on this machine, or not whole",
            f"run `modelset download {model.key}`",
        )

    def ensure(self, key: str) -> Path:
        """Where a model lies, downloaded when it is missing, also by several processes at once.

        Raises ModelSetError for a model that cannot be had.
        """
        with contextlib.suppress(ModelSetError):
            return self.path(key)
        report = self.download(Wishes(keys=(key,)), self.terms)
        for outcome in report.outcomes:
            if outcome.failure is not None:
                failure = outcome.failure
                raise ModelSetError(failure.code, failure.message, failure.hint)
        return self.path(key)

    def _locked(self) -> Lock:
        """The lock, read again when its file has changed."""
        state = state_of(self.settings.lock)
        if self._lock is None or self._lock[0] != state:
            self._lock = state, read_lock(self.settings.lock)
        return self._lock[1]

    def _distrust(self, keys: list[str]) -> None:
        """Make the next download read what a check found corrupt, whatever the registry says."""
        from modelset.store.digests import doubt

        folder = self.settings.roots["registry"]
        with contextlib.suppress(ModelSetError), turn(folder):  # a read-only machine can be checked
            doubt(folder, keys)

    def _check_ref(self, source: str, ref: Mapping[str, object]) -> list[str]:
        problems = check_ref(source, ref)
        root = ref.get("root")
        if not problems and root is not None and root not in MODEL_ROOTS:
            problems.append(f"ref.root: unknown, use one of {', '.join(MODEL_ROOTS)}")
        return problems
