"""What one machine is: values, and the JSON they are kept as."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final, Literal, Self

from modelset.core.reading import Version, read_value
from modelset.core.values import asdict, dataclass

Vendor = Literal["amd", "nvidia"]

SCHEMA_VERSION: Final = 1
GB: Final = 2**30


@dataclass(frozen=True, slots=True)
class Gpu:
    """One graphics card: memory in bytes, `compute_capability` as (major, minor) on NVIDIA."""

    vendor: Vendor
    name: str
    memory_bytes: int
    driver: str
    compute_capability: Version | None


@dataclass(frozen=True, slots=True)
class Profile:
    """What one machine is, as far as choosing models goes.

    Sizes are bytes; `profiled_at` is ISO 8601 with its zone. Cores and memory are what this
    process may use, so a container's limit counts. An Apple chip has no card of its own in
    `gpus`: its memory is the machine's. `notes` are words for people.
    """

    schema_version: int
    fingerprint: str
    profiled_at: str
    system: str
    machine: str
    python: str
    cpu_name: str
    cores_physical: int
    cores_logical: int
    cpu_flags: tuple[str, ...]
    memory_bytes: int
    disk_free_bytes: int
    disk_path: str
    gpus: tuple[Gpu, ...]
    apple_silicon: bool
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, object]:
        """Return the profile as JSON-ready values; a compute capability becomes "8.6"."""
        gpus = [asdict(gpu) | {"compute_capability": capability_text(gpu)} for gpu in self.gpus]
        lists = {"gpus": gpus, "cpu_flags": list(self.cpu_flags), "notes": list(self.notes)}
        return asdict(self) | lists

    @classmethod
    def from_json(cls, data: object) -> Self:
        """Return the profile that `to_json` wrote.

        Raises ValueError, a line for each problem, for anything else and for another schema.
        """
        version = data.get("schema_version") if isinstance(data, Mapping) else SCHEMA_VERSION
        if version != SCHEMA_VERSION:
            raise ValueError(f"schema_version must be {SCHEMA_VERSION}, not {version!r}")
        profile: Self = read_value(cls, data)
        if datetime.fromisoformat(profile.profiled_at).tzinfo is None:
            raise ValueError(f"profiled_at must have a zone: {profile.profiled_at!r}")
        return profile


def capability_text(gpu: Gpu) -> str | None:
    """Return a card's compute capability as people write it, "8.6", or None."""
    return ".".join(map(str, gpu.compute_capability)) if gpu.compute_capability else None
