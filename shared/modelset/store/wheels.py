"""Installs verified wheels into a site-packages folder, RECORD last, without running any code."""

import contextlib
import os
import shutil
import sys
import sysconfig
import zipfile
from pathlib import Path
from typing import BinaryIO

from installer import install
from installer.destinations import SchemeDictionaryDestination
from installer.exceptions import InstallerError
from installer.records import RecordEntry
from installer.sources import WheelFile
from installer.utils import Scheme

from modelset.core.errors import ModelSetError
from modelset.core.layout import InstallWheel
from modelset.store.files import inside, is_inside, saying, sync_file
from modelset.store.inspect import Installed
from modelset.store.records import record_rows
from modelset.store.temporary import beside

# A wheel that unpacks to more than this many times its size is no model.
LARGEST_RATIO = 100
MOST_ENTRIES = 100_000


def install_wheel(path: Path, site_packages: Path, wheel: InstallWheel) -> None:
    """Unpack a verified wheel; an older version of it is removed afterwards.

    Raises ModelSetError `wheel-invalid` for a wheel that lies about itself and
    `python-managed` when the folder belongs to the system's Python.
    """
    _refuse_managed(site_packages)
    with saying("install into", site_packages):
        site_packages.mkdir(parents=True, exist_ok=True)
        try:
            with zipfile.ZipFile(path) as archive:
                _refuse_bomb(archive, path.stat().st_size)
                # installer reads the name and the version from the file name.
                archive.filename = f"{wheel.name}-{wheel.version}-py3-none-any.whl"
                source = WheelFile(archive)
                source.validate_record()
                install(source, _destination(site_packages), {"INSTALLER": b"modelset\n"})
        except (InstallerError, zipfile.BadZipFile, ValueError, AssertionError, KeyError) as error:
            raise ModelSetError(
                "wheel-invalid",
                f"{wheel.name} {wheel.version} is not a valid wheel: {error}",
                "report it to whoever publishes the package",
            ) from error
        _remove_others(site_packages, wheel)


class _Whole(SchemeDictionaryDestination):
    """Gives a file its name when its bytes are durable: one with the right name is whole even after
    a power cut, and no link that lies there, hard or symbolic, is written through.
    """

    def write_to_fs(
        self, scheme: Scheme, path: str, stream: BinaryIO, is_executable: bool
    ) -> RecordEntry:
        """Write beside the place, then rename; returns the line for RECORD."""
        target = inside(Path(self.scheme_dict[scheme]), self._path_with_destdir(scheme, path))
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = beside(target)
        try:
            name = os.path.join(os.path.dirname(path), temporary.name)
            entry = super().write_to_fs(scheme, name, stream, is_executable)
            sync_file(temporary)
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
        return RecordEntry(path, entry.hash_, entry.size)


def _destination(site_packages: Path) -> SchemeDictionaryDestination:
    scripts = sysconfig.get_path("scripts") if _is_own(site_packages) else site_packages / "bin"
    scheme = {
        "purelib": os.fspath(site_packages),
        "platlib": os.fspath(site_packages),
        "headers": os.fspath(site_packages / "include"),
        "scripts": os.fspath(scripts),
        "data": os.fspath(site_packages),
    }
    return _Whole(
        scheme,
        sys.executable,
        "posix" if os.name == "posix" else "win-amd64",
        overwrite_existing=True,
    )


def _is_own(site_packages: Path) -> bool:
    return os.path.realpath(site_packages) == os.path.realpath(sysconfig.get_path("purelib"))


def _refuse_managed(site_packages: Path) -> None:
    marker = Path(sysconfig.get_path("stdlib")) / "EXTERNALLY-MANAGED"
    if _is_own(site_packages) and sys.prefix == sys.base_prefix and marker.exists():
        raise ModelSetError(
            "python-managed",
            f"{site_packages} belongs to the system's Python",
            "run ./scripts/bootstrap.sh, which makes a virtual environment",
        )


def _refuse_bomb(archive: zipfile.ZipFile, size: int) -> None:
    entries = archive.infolist()
    unpacked = sum(entry.file_size for entry in entries)
    if len(entries) > MOST_ENTRIES or unpacked > LARGEST_RATIO * size + 1_000_000:
        raise ValueError(f"it unpacks to {unpacked} bytes in {len(entries)} files")


def _remove_others(site_packages: Path, wheel: InstallWheel) -> None:
    """Take away the files of other versions, and then what records them."""
    info = f"{wheel.name}-{wheel.version}.dist-info"
    keep = {row.path for row in record_rows(os.fspath(site_packages / info / "RECORD"))}
    for name in Installed().versions(os.fspath(site_packages), wheel.name):
        if name == info:
            continue
        for row in record_rows(os.fspath(site_packages / name / "RECORD")):
            target = site_packages / row.path
            if row.path not in keep and is_inside(site_packages, target):
                target.unlink(missing_ok=True)
                with contextlib.suppress(OSError):  # up to the first folder that is not empty
                    os.removedirs(target.parent)
        folder = site_packages / name
        if folder.is_symlink():
            folder.unlink()
        else:
            shutil.rmtree(folder)  # it may hold folders, such as `licenses`
