"""modelset hardware: what this machine is, and what it recommends."""

import argparse

from modelset.cli.options import settings_of
from modelset.cli.screen import Screen
from modelset.core.report import envelope
from modelset.core.values import asdict
from modelset.core.words import size_text
from modelset.engine.guard import Stop
from modelset.model_set import ModelSet


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    parser.add_argument("--refresh", action="store_true", help="look at the machine again")


def run(options: argparse.Namespace, screen: Screen, stop: Stop) -> int:
    """Profile, draw, and return the exit code."""
    models = ModelSet(settings_of(options), stop)
    profile = models.profiled(refresh=options.refresh)
    advice = models.recommendation
    screen.title("HARDWARE")
    rows = [
        ("System", f"{profile.system} {profile.machine}, Python {profile.python}"),
        (
            "CPU",
            f"{profile.cpu_name} ({profile.cores_physical} cores, {profile.cores_logical} threads)",
        ),
        ("Memory", size_text(profile.memory_bytes)),
        ("Disk", f"{size_text(profile.disk_free_bytes)} free in {profile.disk_path}"),
    ]
    rows += [
        ("GPU", f"{gpu.name}, {size_text(gpu.memory_bytes)}, driver {gpu.driver}")
        for gpu in profile.gpus
    ]
    if not profile.gpus:
        rows.append(("GPU", "Apple Silicon" if profile.apple_silicon else "none"))
    rows += [("Note", note) for note in profile.notes]
    rows += [
        ("Recommended", f"whisper:{advice.whisper} on {advice.device}"),
        ("Settings", f"compute_type={advice.compute_type}, batch_size={advice.batch_size}"),
        ("Why", advice.reason),
    ]
    for name, words in rows:
        screen.line(f"  {name + ':':<13} {words}")
    data = {"profile": profile.to_json(), "recommendation": asdict(advice)}
    screen.document(envelope("hardware", 0, data))
    return 0
