"""What `modelset doctor` looks at: the machine and the settings, one function a topic.

None opens a socket, or leaves a file behind.
"""

import datetime
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from modelset.cli.setting_rows import bare
from modelset.core import doctor as judge
from modelset.core.doctor import Finding, Requirement
from modelset.core.errors import ModelSetError
from modelset.core.mirrors import is_address
from modelset.core.reading import parse_toml
from modelset.core.select import Wishes
from modelset.model_set import ModelSet
from modelset.probe import doctor as probe
from modelset.settings import HUB, Settings
from modelset.store.files import is_there, read_text

HasTime = Callable[[], bool]

_BOOTSTRAP = "./scripts/bootstrap.sh"
_PROXY_SCHEMES = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")


def python() -> Iterator[Finding]:
    """The interpreter, whether packages can go into it, and what the system lets it do."""
    own = probe.interpreter()
    words = f"{own.version} in {own.prefix}"
    if own.is_managed:
        yield Finding("Python", "warn", f"{words}, which the system manages", _BOOTSTRAP)
    else:
        kind = "an environment of its own" if own.is_own else "no environment of its own"
        yield Finding("Python", "ok", f"{words}, {kind}")
    yield judge.judge_open_files(probe.open_files())
    yield judge.judge_clock(datetime.datetime.now().astimezone().year)
    temporary = probe.temporary_folder()
    if temporary is None:
        words, mend = "no folder for temporary files can be written", "set TMPDIR to one that can"
        yield Finding("Temporary files", "bad", words, mend, "store-not-writable")
    else:
        yield Finding("Temporary files", "ok", str(temporary))


def disks(models: ModelSet, has_time: HasTime) -> Iterator[Finding]:
    """Each volume once, by what lies on it; and each root that cannot be written."""
    settings = models.settings
    still = _still_to_come(models)
    places = {"models_root": settings.models_root, "out": settings.out, **settings.roots}
    volumes: dict[int, list[str]] = {}
    for name, path in places.items():
        if name in ("local", "credentials"):  # only ever read
            continue
        if probe.can_write(path):
            volumes.setdefault(probe.device_of(path), []).append(name)
        else:
            yield _not_writable(name, path, is_needed=still > 0 and name != "site-packages")
    for names in volumes.values():
        shown = names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
        needed = still if "models_root" in names else 0
        volume = probe.look_at_volume(places[names[0]])
        yield from judge.judge_volume(shown, volume, needed)


def _not_writable(name: str, path: Path, *, is_needed: bool) -> Finding:
    mend = f"give this user the right to write {path}, or set another: `modelset paths`"
    words = f"cannot write {name}: {path}"
    if is_needed:
        return Finding("Disk", "bad", words, mend, "store-not-writable")
    return Finding("Disk", "warn", words, mend)


def _still_to_come(models: ModelSet) -> int:
    try:
        present = models.present_keys()
        choices = models.select(Wishes()).choices
    except ModelSetError:  # said where it belongs
        return 0
    return sum(one.model.size_bytes for one in choices if one.model.key not in present)


def network(models: ModelSet, has_time: HasTime) -> Iterator[Finding]:
    """Proxy, certificates, mirrors and the package index, as far as words can tell."""
    settings = models.settings
    yield _proxy(settings)
    yield _certificates(settings)
    every = {*settings.mirrors, *(one.url for row in settings.mirrors.values() for one in row)}
    yield from judge.judge_mirrors(settings.mirrors, {url: bare(url) for url in every})
    if settings.index_url and not is_address(settings.index_url):
        mend = "modelset config set download.index_url ADDRESS"
        words = f"index_url is not an address ({settings.origins['index_url']})"
        yield Finding("Package index", "bad", words, mend, "config-invalid")


def _proxy(settings: Settings) -> Finding:
    proxy = settings.proxies.choose(f"{HUB}/")
    if proxy is None:
        return Finding("Proxy", "ok", f"none for {HUB}")
    scheme, _, rest = proxy.url.partition("://")
    if scheme not in _PROXY_SCHEMES or not is_address(f"http://{rest}"):
        # Not repeated: it may hold a password.
        words = f"{proxy.variable} is not the address of a proxy"
        mend = f"set {proxy.variable} to one such as http://proxy.example.org:3128"
        return Finding("Proxy", "bad", words, mend, "proxy-refused")
    return Finding("Proxy", "ok", f"{HUB} goes through {proxy.host} ({proxy.variable})")


def _certificates(settings: Settings) -> Finding:
    place = settings.ca_file or settings.ca_folder
    origin = settings.origins["ca_file"]
    if not place:
        return Finding("Certificates", "ok", "those of certifi")
    count = probe.certificates(place, is_folder=not settings.ca_file)
    if count:
        return Finding("Certificates", "ok", f"{count} in {place} ({origin})")
    what = "cannot be read" if count is None else "holds no certificate"
    mend = f"set {origin} to a PEM file, or to a folder that `openssl rehash` has seen"
    return Finding("Certificates", "bad", f"{place} {what} ({origin})", mend, "tls-failed")


def token(models: ModelSet, has_time: HasTime) -> Iterator[Finding]:
    """Whether there is a token, and where it is from; never what it is."""
    settings = models.settings
    if not settings.token:
        words = "no Hugging Face token: gated models are left out"
        yield Finding("Token", "note", words, "hf auth login")
        return
    yield Finding("Token", "ok", f"Hugging Face token found ({settings.origins['hf_token']})")
    for path in (settings.hub_token_file, settings.roots["credentials"] / "hf_token"):
        if is_there(path) and not probe.is_private(path):
            yield Finding("Token", "warn", f"others can read {path}", f"chmod 600 {path}")


def libraries(models: ModelSet, has_time: HasTime) -> Iterator[Finding]:
    """What the program needs, and what the models are loaded with, by their metadata alone."""
    project = models.settings.project
    own, families = _own_requirements(project)
    runtime = judge.requirements_of((read_text(project / "requirements.txt") or "").splitlines())
    others = [row for row in families if row.name not in {one.name for one in (*own, *runtime)}]
    names = [row.name for row in (*own, *runtime, *others)]
    versions = probe.versions_of([*names, "torch", "torchaudio", "torchvision"])
    yield from judge.judge_libraries(own, versions, topic="Program", missing="bad", mend=_BOOTSTRAP)
    yield from judge.judge_libraries(
        runtime, versions, topic="Libraries", missing="warn", mend=_BOOTSTRAP
    )
    here = [row for row in others if row.name in versions]
    mend = "python -m pip install --upgrade NAME"
    yield from judge.judge_libraries(here, versions, topic="Families", missing="note", mend=mend)
    has_cuda = any(gpu.vendor == "nvidia" for gpu in models.profile.gpus)
    yield from judge.judge_torch(versions, has_cuda=has_cuda)


def _own_requirements(project: Path) -> tuple[list[Requirement], list[Requirement]]:
    """Those of the program and of families: from the checkout, or as it is installed."""
    table: Mapping[str, Any] = {}
    try:
        document = parse_toml(read_text(project / "pyproject.toml") or "")
        table = document.get("project", {})
        if table.get("name") != "modelset":  # the project that uses this one
            table = {}
        families = table.get("optional-dependencies", {}).get("families", [])
        lines = table.get("dependencies", probe.asked_for_by("modelset"))
        lines = [line for line in lines if "extra ==" not in line]
        return judge.requirements_of(lines), judge.requirements_of(families)
    except (ValueError, AttributeError, TypeError, RecursionError):
        return judge.requirements_of(probe.asked_for_by("modelset")), []
