"""The decision of a download, made before a byte moves."""

from collections.abc import Iterable, Mapping, Sequence

from modelset.core.errors import ModelSetError
from modelset.core.types import TIERS, Plan, Status
from modelset.core.words import size_text

# Room that a run leaves on a volume for journals, the registry and everything else on the machine.
SPARE_BYTES = 64 * 1024 * 1024


def make_plan(statuses: Iterable[Status]) -> Plan:
    """What to fetch and in which order: critical first, then the largest."""
    known = tuple(statuses)
    fetch = sorted(
        (status for status in known if status.presence != "present"),
        key=lambda status: (TIERS.index(status.tier), -status.bytes_want, status.model.key),
    )
    ready = tuple(status for status in known if status.presence == "present")
    return Plan(ready, tuple(fetch))


def starting_order(fetch: Sequence[Status], workers: int) -> list[Status]:
    """In which order so many workers begin what a plan fetches, tier by tier.

    The largest keep all workers but one busy. That one goes through the rest from the smallest on,
    which cost round trips rather than bytes: at the end they would leave the line idle.
    """
    order: list[Status] = []
    for tier in TIERS:
        rows = [status for status in fetch if status.tier == tier]
        order += rows[: workers - 1] + rows[workers - 1 :][::-1]
    return order


def refuse_if_full(need: Mapping[str, int], free: Mapping[str, int]) -> None:
    """Raise ModelSetError `disk-full` when a volume cannot hold what is to come.

    Both map a volume (a folder on it, as people know it) to bytes.
    """
    for volume, bytes_need in need.items():
        if bytes_need and bytes_need + SPARE_BYTES > free[volume]:
            raise ModelSetError(
                "disk-full",
                f"not enough space in {volume}: {size_text(bytes_need)} needed,"
                f" {size_text(free[volume])} free ({size_text(SPARE_BYTES)} of them are spared)",
                "free some space, choose fewer models with `--only critical`,"
                " or set MODELSET_MODELS_ROOT to a larger disk",
            )
