"""The cases about speed: one capped file, one verified file, the model set, many small files."""

import statistics

from benchmarks.bench import MIB, Bench, hashing_cpu, openssl_rate
from benchmarks.measure import GIB, Entry, Runs
from benchmarks.page import OWN, Plot, Section, ratio
from benchmarks.servers import MB
from benchmarks.tools import (
    ARIA2,
    ARIA2_CHECKSUM,
    BARE,
    CURL,
    CURL_OPENSSL,
    CURL_SHA256SUM,
    HF,
    MODELSET,
    SEQUENTIAL,
    aria2,
    hf,
)

RTT_MS = 40
CONNECTIONS = 16

# The real sizes of the default set, with the small files of a Whisper repository. What is a
# package otherwise is a repository here, because the rivals fetch from nowhere else, and what is a
# pickle has another name, because random bytes are none.
_WHISPER = {"config.json": 2_400, "preprocessor_config.json": 340}
_SET = {
    "whisper-base": {**_WHISPER, "tokenizer.json": 2_203_239, "vocabulary.txt": 459_861,
                     "model.bin": 145_217_101},
    "whisper-large-v3": {**_WHISPER, "tokenizer.json": 2_480_617, "vocabulary.json": 1_068_114,
                         "model.bin": 3_087_284_231},
    "whisper-large-v3-turbo": {**_WHISPER, "tokenizer.json": 2_710_337,
                               "vocabulary.json": 1_068_114, "model.bin": 1_617_884_792},
    "silero": {"silero_vad.whl": 11_317_527},
    "en_core_web_trf": {"en_core_web_trf.whl": 457_400_000},
    "en_core_web_sm": {"en_core_web_sm.whl": 12_800_000},
    "speaker-diarization-3.1": {"config.yaml": 469},
    "segmentation-3.0": {"model.safetensors": 5_905_440},
    "wespeaker": {"model.safetensors": 26_645_418},
    "plda": {"plda/plda.npz": 134_114, "plda/xvec_transform.npz": 134_114},
}  # fmt: skip


def capped(bench: Bench) -> Section:
    """One file, each connection capped."""
    repo = bench.one("capped", bench.sizes.of(512 * MIB))
    section = Section(
        "1. One file, 20 MiB/s for each connection",
        f"{repo.size / MIB:.0f} MiB over plain HTTP. The cap is nginx's `limit_rate`, which"
        " lets each request have its first second's worth at once: that favours whoever asks for"
        " small parts. The cap of case 3 has no such gift.",
    )
    job = bench.job(bench.ports.capped, repo)
    tools = (MODELSET, ARIA2, ARIA2_CHECKSUM, HF, CURL, bench.pooch)
    found = bench.compare([Entry(tool, job) for tool in tools])
    section.table(found)
    section.chart("capped", found)
    section.at_most("1. capped file, time beside `aria2c -x16`", 1.1, ratio(found, OWN, ARIA2.name))
    section.at_least("1. `aria2c -x16 --checksum` takes", 2.5, ratio(found, ARIA2_CHECKSUM.name))
    section.at_least("1. `hf download` takes", 8, ratio(found, HF.name))
    return section


def verified(bench: Bench) -> Section:
    """One large file without a cap."""
    repo = bench.one("large", bench.sizes.large)
    job = bench.job(bench.ports.free, repo)
    tools = (
        MODELSET, CURL_SHA256SUM, CURL_OPENSSL, CURL, BARE, ARIA2, ARIA2_CHECKSUM, HF, bench.pooch,
    )  # fmt: skip
    found, rate = _beside_openssl(bench, [Entry(tool, job) for tool in tools])
    section = Section(
        "2. One verified file, no cap",
        f"{repo.size / MIB:.0f} MiB over plain HTTP. One core of this machine digests"
        f" {rate / MB:.0f} MB/s (`openssl speed -bytes 16384 -evp sha256`, measured in turn"
        " with the tools, the median). `openssl` uses the processor's SHA instructions where there"
        " are any; `sha256sum` is the system's own and may not."
        f" `{BARE.name}` is a loop that reads one socket and writes one file: about what the bytes"
        " alone cost here.",
    )
    section.table(found)
    section.chart("verified", found, mark=("sha256 alone", job.size / rate))
    own = found[OWN].rate / rate if found[OWN].took else None
    section.at_least("2. verified rate of one file, of the sha256 rate", 0.85, own)
    both = ratio(found, CURL_SHA256SUM.name)
    section.at_least("2. `curl`, then `sha256sum`, takes", 1.5, both)
    return section


def plain(bench: Bench) -> Section:
    """The same, and the capped file, where no instruction of the processor computes the digest."""
    large = bench.one("large", bench.sizes.large)
    slow = bench.one("capped", bench.sizes.of(512 * MIB))
    free = bench.job(bench.ports.free, large, plain=True)
    capped = bench.job(bench.ports.capped, slow, plain=True)
    capped_own, capped_rival = f"{OWN}, 20 MiB/s", f"{ARIA2_CHECKSUM.name}, 20 MiB/s"
    entries = [Entry(tool, free) for tool in (MODELSET, CURL_OPENSSL, ARIA2_CHECKSUM)]
    entries += [Entry(MODELSET, capped, capped_own), Entry(ARIA2_CHECKSUM, capped, capped_rival)]
    found, rate = _beside_openssl(bench, entries, plain=True)
    section = Section(
        "1. and 2. without SHA instructions",
        "The same files where no instruction of the processor computes SHA-256, as with many that"
        " are in use: it is hidden from the libraries that the tools use. One core digests"
        f" {rate / MB:.0f} MB/s then, and is what everything waits for.",
    )
    for own, names in (
        (OWN, (OWN, CURL_OPENSSL.name, ARIA2_CHECKSUM.name)),
        (capped_own, (capped_own, capped_rival)),
    ):
        section.table({name: found[name] for name in names}, own)
    section.chart("plain", found, ("wall",))
    share = found[OWN].rate / rate if found[OWN].took else None
    section.at_least("2. the same without SHA instructions", 0.85, share)
    rival = ratio(found, capped_rival, capped_own)
    section.at_least("1. the same, `aria2c -x16 --checksum` takes", 2.5, rival)
    return section


def _beside_openssl(
    bench: Bench, entries: list[Entry], *, plain: bool = False
) -> tuple[dict[str, Runs], float]:
    """What the entries took, and the rate of sha256 that was measured in turn with them."""
    rates: list[float] = []
    found = bench.compare(entries, lambda: rates.append(openssl_rate(plain=plain)))
    return found, statistics.median(rates)


def model_set(bench: Bench) -> Section:
    """The default models, scaled down, over a slow link."""
    scale = bench.sizes.scale / 20
    repos = [
        bench.repo(f"set-{name}", {path: max(1, round(size * scale)) for path, size in row.items()})
        for name, row in _SET.items()
    ]
    cap = 5 * MB
    one, three = hf(1, "hf download, one at a time"), hf(3, "hf download, three at a time")
    with bench.link(bench.ports.free, RTT_MS, cap) as link:
        job = bench.job(link.port, *repos)
        tools = (MODELSET, SEQUENTIAL, one, three, ARIA2)
        found = bench.compare([Entry(tool, job) for tool in tools])
    limit = CONNECTIONS * cap
    section = Section(
        "3. The default model set, 5 MB/s for each connection, 40 ms",
        f"{len(repos)} repositories, {job.size / MB:.0f} MB: the default set with Whisper"
        f" large-v3-turbo, its real sizes divided by {1 / scale:.0f}. Our own link caps each"
        " connection with a bucket of 50 ms, delays either direction by 20 ms, and lets opening"
        " a connection cost a round trip. aria2c is given all addresses and asks nobody for"
        f" them; it opens up to {CONNECTIONS} connections for each of five files, so the limit of"
        f" {CONNECTIONS} connections in all is not its own. `hf` runs once for each model.",
    )
    section.table(found)
    section.chart("set", found, mark=(f"{CONNECTIONS} connections", job.size / limit))
    section.at_least("3. the sequential script takes", 8, ratio(found, SEQUENTIAL.name))
    section.at_least("3. `hf download` three at a time takes", 5, ratio(found, three.name))
    own = found[OWN].rate / limit if found[OWN].took else None
    words = f"3. rate, of the link limit ({CONNECTIONS} x {cap / MB:.0f} MB/s)"
    section.at_least(words, 0.85, own)
    return section


def small(bench: Bench) -> Section:
    """Many small files over a slow link, in the clear and over TLS."""
    count = bench.sizes.of(2000)
    repo = bench.repo("small", {f"part-{at // 100}/{at:05}.bin": 4096 for at in range(count)})
    many = aria2("-j16", name="aria2c -i -j16")
    with (
        bench.link(bench.ports.free, RTT_MS) as plain,
        bench.link(bench.ports.tls, RTT_MS) as tls,
        bench.link(bench.ports.h2, RTT_MS) as h2,
    ):
        ways = {"": plain, ", TLS": tls, ", HTTP/2": h2}
        jobs = {
            words: bench.job(link.port, repo, tls=link is not plain) for words, link in ways.items()
        }
        found = bench.compare(
            [
                Entry(tool, job, tool.name + words)
                for words, job in jobs.items()
                for tool in (MODELSET, HF, many)
            ]
        )
    section = Section(
        f"4. {count} files of 4 KiB, 40 ms",
        "One repository over the delayed link without a cap. TLS comes from nginx with a"
        " certificate of our own; `HTTP/2` is the listener that offers it, which only those"
        " use that ask for it. aria2c reads a list of addresses and asks the Hub nothing.",
    )
    for words in ways:
        names = [tool.name + words for tool in (MODELSET, HF, many)]
        section.table({name: found[name] for name in names}, OWN + words)
    section.chart("small", found, ("wall", "memory"))
    section.at_least("4. small files, `hf download` takes", 3, ratio(found, HF.name))
    return section


def cost(bench: Bench) -> Section:
    """Processor time without the digest, and memory."""
    large = bench.one("large", bench.sizes.large)
    slow = bench.one("capped", bench.sizes.of(512 * MIB))
    free = bench.job(bench.ports.free, large)
    entries = [
        Entry(MODELSET, free),
        Entry(MODELSET, bench.job(bench.ports.capped, slow), "modelset, 20 MiB/s"),
        Entry(HF, free),
    ]
    hashed: list[float] = []
    found = bench.compare(
        entries, lambda: hashed.append(hashing_cpu(large.size) / (large.size / GIB))
    )
    digest = statistics.median(hashed)
    section = Section(
        "5. Processor time and memory",
        f"{large.size / MIB:.0f} MiB without a cap, and {slow.size / MIB:.0f} MiB with 20 MiB/s"
        " for each connection. modelset always checks digests, `hf` never does over HTTP. So"
        " the processor time of sha256 alone over as many bytes, measured in turn with the"
        f" tools in a Python that does nothing else ({digest:.2f} s per GiB), is taken off"
        " ours. Memory is the peak resident size of the largest process.",
    )
    section.table(found)
    section.chart("cost", found)
    _cost_targets(section, found, digest)
    return section


def _cost_targets(section: Section, found: dict[str, Runs], digest: float) -> None:
    own, rival, slow = found[OWN], found[HF.name], found["modelset, 20 MiB/s"]
    share = None
    if own.took and rival.took:
        bare = own.cpu_per_gib - digest
        share = bare / rival.cpu_per_gib
        rows = [("modelset, digest taken off", bare), ("sha256 alone", digest)]
        rows += [(runs.name, runs.cpu_per_gib) for runs in (own, rival)]
        title = "5. Processor time for each GiB"
        section.plots.append(Plot("cost-parts.svg", title, "s", rows))
    section.at_most("5. CPU per GiB without digest, of `hf download`'s", 0.4, share)
    for runs, words in ((own, "no cap"), (slow, "20 MiB/s")):
        peak = runs.peak / MB if runs.took else None
        section.at_most(f"5. peak memory, {words}", 100, peak, " MB")
