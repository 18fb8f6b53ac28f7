"""Where an address is really asked for, with which credential; and when to try again."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from modelset.core.errors import KINDS, ModelSetError
from modelset.core.mirrors import (
    Address,
    Mirror,
    addresses_of,
    canonical,
    credential_of,
    hub_mirror,
    is_loopback,
    origin_of,
    parse_mirrors,
)
from modelset.core.retry import Policy, Retries, delay_s, persist

HUB = "https://huggingface.co/"
FILE = HUB + "acme/thing/resolve/main/a.bin"
BEARER = {"Authorization": "Bearer hf_secret"}
TOKEN = {"https://huggingface.co": BEARER}


def test_without_mirrors_the_address_is_the_original() -> None:
    assert addresses_of(FILE, {}, TOKEN) == (Address(FILE, BEARER),)


def test_mirrors_are_tried_in_order_and_the_original_last() -> None:
    mirrors = {HUB: (Mirror("https://one.example/hf/"), Mirror("https://two.example/"))}
    assert [row.url for row in addresses_of(FILE, mirrors, {})] == [
        "https://one.example/hf/acme/thing/resolve/main/a.bin",
        "https://two.example/acme/thing/resolve/main/a.bin",
        FILE,
    ]


def test_the_longest_prefix_wins() -> None:
    mirrors = {
        HUB: (Mirror("https://all.example/"),),
        HUB + "acme/": (Mirror("https://acme.example/", only=True),),
        HUB + "acme/other/": (Mirror("https://other.example/"),),
    }
    (found,) = addresses_of(FILE, mirrors, {})
    assert found.url == "https://acme.example/thing/resolve/main/a.bin"


def test_only_leaves_the_original_out() -> None:
    mirrors = {HUB: (Mirror("https://one.example/"), Mirror("https://two.example/", only=True))}
    assert [origin_of(row.url) for row in addresses_of(FILE, mirrors, {})] == [
        "https://one.example",
        "https://two.example",
    ]


def test_a_credential_goes_to_its_own_origin_and_to_a_trusted_mirror_only() -> None:
    mirrors = {HUB: (Mirror("https://one.example/"), Mirror("https://two.example/", True))}
    found = addresses_of(FILE, mirrors, TOKEN)
    assert [row.credential for row in found] == [{}, BEARER, BEARER]
    (other,) = addresses_of("https://huggingface.co.evil.example/a", {}, TOKEN)
    assert other.credential == {}
    (plain,) = addresses_of("http://huggingface.co/a", {}, TOKEN)
    assert plain.credential == {}


def test_what_a_mirror_allows_goes_with_its_address() -> None:
    mirrors = {HUB: (Mirror("http://m.example/", allow_http=True, allow_private=True),)}
    first, last = addresses_of(FILE, mirrors, {})
    assert (first.allow_http, first.allow_private) == (True, True)
    assert (last.allow_http, last.allow_private) == (False, False)


def test_the_lock_holds_the_canonical_form_of_a_mirrors_address() -> None:
    mirrors = {HUB: (Mirror("http://127.0.0.1:9/hf/"), Mirror("https://two.example/"))}
    assert canonical("http://127.0.0.1:9/hf/a/b", mirrors) == HUB + "a/b"
    assert canonical("https://two.example/a", mirrors) == HUB + "a"
    assert canonical("https://other.example/a", mirrors) == "https://other.example/a"
    assert canonical("", mirrors) == ""


def test_of_mirrors_that_lie_within_each_other_the_longest_speaks() -> None:
    wide = {"https://github.com/": (Mirror("https://nexus.example/"),)}
    narrow = {HUB: (Mirror("https://nexus.example/hf/"),)}
    for mirrors in (wide | narrow, narrow | wide):
        assert canonical("https://nexus.example/hf/api/x", mirrors) == HUB + "api/x"
        assert canonical("https://nexus.example/a/b", mirrors) == "https://github.com/a/b"


@pytest.mark.parametrize(
    ("endpoint", "credentials"),
    [
        ("https://hub.example.org", True),
        ("https://hub.example.org/", True),
        ("http://127.0.0.1:8000", True),
        ("http://localhost:8000", True),
        ("http://[::1]:8000", True),
        ("http://hub.example.org", False),
        ("http://localhost.example.org", False),
        ("http://10.0.0.1", False),
    ],
)
def test_hf_endpoint_replaces_the_hub_and_gets_the_token_only_where_it_is_safe(
    endpoint: str, credentials: bool
) -> None:
    mirror = hub_mirror(endpoint)
    assert mirror.only
    assert mirror.credentials is credentials
    assert mirror.url == endpoint.rstrip("/") + "/"


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://Example.ORG:443/a?b", "https://example.org"),
        ("http://example.org:80/", "http://example.org"),
        ("http://example.org:8080/", "http://example.org:8080"),
        ("https://user:word@example.org/", "https://example.org"),
        ("http://[::1]:5/", "http://[::1]:5"),
    ],
)
def test_an_origin_is_scheme_host_and_port(url: str, origin: str) -> None:
    assert origin_of(url) == origin


@pytest.mark.parametrize(
    ("url", "expected"),
    [("http://127.9.9.9/", True), ("http://LOCALHOST/", True), ("http://[::1]/", True),
     ("http://127.0.0.1.example.org/", False), ("http://example.org/127.0.0.1", False),
     ("http://128.0.0.1/", False), ("http://127.evil.example/", False)],
)  # fmt: skip
def test_loopback_is_this_machine_alone(url: str, expected: bool) -> None:
    assert is_loopback(url) is expected


def test_a_table_of_mirrors_is_read() -> None:
    rows = [{"url": "https://one.example/", "credentials": True}, {"url": "http://two.example/"}]
    found, problems = parse_mirrors({HUB: rows}, where="x.toml")
    assert problems == []
    assert found == {HUB: (Mirror("https://one.example/", True), Mirror("http://two.example/"))}


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        (5, "should be a table"),
        ({HUB: "https://one.example/"}, "should be a list of tables"),
        ({HUB: ["https://one.example/"]}, "should be a list of tables"),
        ({HUB[:-1]: [{"url": "https://one.example/"}]}, "a prefix ends with /"),
        ({HUB: [{"url": "https://one.example"}]}, "ends with /"),
        ({HUB.removeprefix("https://"): [{"url": "https://one.example/"}]}, "begins with https"),
        ({HUB: [{"url": "ftp://one.example/"}]}, "http address"),
        ({HUB: [{}]}, "http address"),
        ({HUB: [{"url": "https://one.example/", "only": "yes"}]}, "only should be true or false"),
        ({HUB: [{"url": "https://one.example/", "olny": True}]}, "olny is not a field"),
    ],
)
def test_what_is_wrong_with_a_mirror_is_said(tables: object, words: str) -> None:
    found, problems = parse_mirrors(tables, where="x.toml")
    assert found == {}
    assert len(problems) == 1
    assert words in problems[0]
    assert problems[0].startswith("x.toml: ")


def test_a_wrong_mirror_does_not_hide_the_problems_of_the_next() -> None:
    tables = {"http://a": [{"url": "x"}], "https://b/": [{"url": "y", "only": 1}]}
    assert len(parse_mirrors(tables, where="x.toml")[1]) == 4


# ---- retry ------------------------------------------------------------------------------------


@dataclass
class FakeGuard:
    """Time that passes only by sleeping."""

    left: float = 1000.0
    slept: list[float] = field(default_factory=list)

    def check(self) -> None:
        if self.left <= 0:
            raise ModelSetError("deadline", "too late")

    def remaining(self) -> float:
        return self.left

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.left -= seconds

    def now(self) -> float:
        return 1000.0 - self.left


ONE, TWO = Address("https://one.example/"), Address("https://two.example/")


@dataclass
class Attempts:
    """Fails as told, one code a call, then succeeds; remembers where it was asked."""

    codes: list[str]
    retry_after_s: float | None = None
    asked: list[str] = field(default_factory=list)

    def __call__(self, address: Address) -> str:
        self.asked.append(address.url)
        if self.codes:
            code = self.codes.pop(0)
            raise ModelSetError(code, f"{code} at {address.url}", retry_after_s=self.retry_after_s)
        return f"from {address.url}"


def test_the_first_success_is_the_answer() -> None:
    attempts, guard = Attempts([]), FakeGuard()
    assert persist([ONE, TWO], attempts, guard=guard) == "from https://one.example/"
    assert attempts.asked == [ONE.url]
    assert guard.slept == []


def test_what_may_pass_is_tried_again_with_growing_pauses() -> None:
    attempts, guard = Attempts(["stalled", "server-error", "connection-lost"]), FakeGuard()
    heard: list[tuple[str, int, float]] = []
    found = persist(
        [ONE],
        attempts,
        guard=guard,
        on_retry=lambda error, number, delay: heard.append((error.failure.code, number, delay)),
    )
    assert found == "from https://one.example/"
    assert [row[:2] for row in heard] == [
        ("stalled", 1),
        ("server-error", 2),
        ("connection-lost", 3),
    ]
    assert guard.slept == pytest.approx([row[2] for row in heard])
    assert 0.25 <= guard.slept[0] <= 0.5 <= guard.slept[1] <= 1 <= guard.slept[2] <= 2


@pytest.mark.parametrize("code", [code for code, kind in KINDS.items() if kind.retry == "never"])
def test_what_cannot_pass_is_never_tried_again(code: str) -> None:
    attempts, guard = Attempts([code]), FakeGuard()
    with pytest.raises(ModelSetError) as caught:
        persist([ONE, TWO], attempts, guard=guard)
    assert caught.value.failure.code == code
    assert attempts.asked == [ONE.url]
    assert guard.slept == []


@pytest.mark.parametrize("code", [code for code, kind in KINDS.items() if kind.retry == "next"])
def test_what_another_place_may_mend_goes_to_the_next_mirror_at_once(code: str) -> None:
    attempts, guard = Attempts([code]), FakeGuard()
    assert persist([ONE, TWO], attempts, guard=guard) == "from https://two.example/"
    assert guard.slept == []


def test_tries_are_bounded_and_then_the_next_mirror_gets_its_own() -> None:
    attempts, guard = Attempts(["server-error"] * 50), FakeGuard()
    with pytest.raises(ModelSetError) as caught:
        persist([ONE, TWO], attempts, guard=guard)
    assert attempts.asked == [ONE.url] * 5 + [TWO.url] * 5
    assert TWO.url in caught.value.failure.message


def test_a_silent_mirror_is_not_waited_for_again_while_there_is_another() -> None:
    attempts, guard = Attempts(["stalled"] * 50), FakeGuard()
    with pytest.raises(ModelSetError):
        persist([ONE, TWO], attempts, guard=guard)
    assert attempts.asked == [ONE.url] + [TWO.url] * 5


def test_a_machine_without_a_network_is_not_asked_for_long() -> None:
    attempts = Attempts(["network-unreachable"] * 50)
    with pytest.raises(ModelSetError):
        persist([ONE, TWO], attempts, guard=FakeGuard())
    assert attempts.asked == [ONE.url] * 2 + [TWO.url] * 2


def test_a_try_that_brought_bytes_is_not_used_up() -> None:
    retries = Retries([ONE], FakeGuard())
    for _ in range(30):
        retries.failed(ModelSetError("connection-lost", "broke"), progressed=True)
    for _ in range(3):
        retries.failed(ModelSetError("connection-lost", "broke"), progressed=False)
    with pytest.raises(ModelSetError):
        retries.failed(ModelSetError("connection-lost", "broke"), progressed=False)


def test_wrong_bytes_are_asked_for_once_more_when_there_is_no_other_place() -> None:
    wrong = ModelSetError("digest-mismatch", "wrong")
    alone = Retries([ONE], FakeGuard())
    alone.failed(wrong, progressed=True)
    assert alone.address == ONE
    with pytest.raises(ModelSetError):
        alone.failed(wrong, progressed=True)
    two = Retries([ONE, TWO], FakeGuard())
    two.failed(wrong, progressed=True)
    assert two.address == TWO
    with pytest.raises(ModelSetError):
        two.failed(wrong, progressed=True)


def test_what_a_server_asks_to_wait_is_waited() -> None:
    attempts, guard = Attempts(["rate-limited"], retry_after_s=7.0), FakeGuard()
    persist([ONE], attempts, guard=guard)
    assert guard.slept == pytest.approx([7.0])


def test_a_wait_beyond_the_deadline_is_not_begun() -> None:
    attempts, guard = Attempts(["rate-limited"], retry_after_s=60.0), FakeGuard(left=30)
    with pytest.raises(ModelSetError) as caught:
        persist([ONE], attempts, guard=guard)
    assert caught.value.failure.code == "rate-limited"
    assert guard.slept == []


@pytest.mark.parametrize(
    ("attempt", "longest"), [(1, 0.5), (2, 1), (3, 2), (6, 16), (7, 20), (99, 20)]
)
def test_pauses_are_capped_and_differ(attempt: int, longest: float) -> None:
    found = {delay_s(attempt, Policy(), None) for _ in range(50)}
    assert len(found) > 1
    assert longest / 2 <= min(found) <= max(found) <= longest


# ---- keys of providers ---------------------------------------------------------------------

CHECK = "https://api.example.org:8443/v1/models?x=y"
KEYED = {"check": CHECK, "service": "House"}


@pytest.mark.parametrize(
    ("form", "headers"),
    [
        ({}, {"Authorization": "Bearer s3cret"}),
        ({"prefix": ""}, {"Authorization": "s3cret"}),
        ({"prefix": "Token "}, {"Authorization": "Token s3cret"}),
        ({"header": "X-Key"}, {"X-Key": "Bearer s3cret"}),
        ({"header": "X-Key", "prefix": ""}, {"X-Key": "s3cret"}),
        (
            {"header": "x-api-key", "prefix": "", "extra": {"x-version": "1"}},
            {"x-api-key": "s3cret", "x-version": "1"},
        ),
        ({"extra": "odd"}, {"Authorization": "Bearer s3cret"}),
    ],
)
def test_a_key_goes_in_its_providers_form_to_its_origin(
    form: dict[str, object], headers: dict[str, str]
) -> None:
    credentials = credential_of({**KEYED, **form}, "s3cret")
    assert credentials == {"https://api.example.org:8443": headers}
    (address,) = addresses_of(CHECK, {}, credentials)
    assert address.credential == headers
    for other in ("https://api.example.org/v1/models", "https://example.org:8443/", "http://x/"):
        assert addresses_of(other, {}, credentials)[0].credential == {}


def test_a_key_goes_to_a_mirror_only_when_that_is_trusted_with_it() -> None:
    credentials = credential_of(KEYED, "s3cret")
    mirrors = {
        "https://api.example.org:8443/": (
            Mirror("https://one.example/"),
            Mirror("https://two.example/", credentials=True, only=True),
        )
    }
    found = addresses_of(CHECK, mirrors, credentials)
    assert [row.url for row in found] == [
        "https://one.example/v1/models?x=y",
        "https://two.example/v1/models?x=y",
    ]
    assert [bool(row.credential) for row in found] == [False, True]
