"""The page: read without a script, and used in a real browser."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.conftest import Project
from tests.server.conftest import SLOW, Answer, Serve, Server

pytest.importorskip("jinja2", reason="the extra `server` is not installed")

from modelset.core.jobs import Job
from modelset.server.access import Access
from modelset.server.problems import status_of
from modelset.serving import Serving
from modelset.store.jobs import JobStore

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

TOKEN = "canary-5f0c"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
EVIL = "</title><script>document.title='gone'</script>\"'&<img src=x onerror=y>"
HOSTILE = f"""
[[model]]
key = "url:evil"
category = "vad"
tier = "optional"
source = "url"
ref.path = "evil/x.bin"
ref.root = "llm"
ref.url = "https://packages.example.org/cdn/<b>/x.bin"
licence = '''{EVIL}'''
note = '''{EVIL}\u202e'''
"""
_VOID = {"meta", "link", "input", "rect"}


class Reader(HTMLParser):
    """Follows every element, and notes what a page asks of a browser."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.text = ""
        self.reaches: list[tuple[str, str]] = []
        self.inline: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        assert len(found) == len(attrs)
        self.elements.append((tag, found))
        self.inline += [name for name in found if name.startswith("on") or name == "style"]
        self.inline += [tag] if tag == "style" or (tag == "script" and "src" not in found) else []
        self.reaches += [
            (name, value or "") for name, value in attrs if name in ("src", "href", "action")
        ]
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in _VOID
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        self.text += " " if tag in ("td", "th") else ""

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["script"]:
            self.text += data

    def words(self) -> str:
        return " ".join(self.text.split())


def read(answer: Answer, status: int = 200) -> Reader:
    """A page that asks for nothing but our own files."""
    assert answer.status == status, answer.body
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "'unsafe" not in answer.headers["content-security-policy"]
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; script-src 's")
    reader = Reader(answer.body.decode())
    assert reader.inline == []
    for _, address in reader.reaches:
        assert re.fullmatch(r"\./|static/[a-z.]+|#[a-z]+", address), address
    return reader


def test_everything_can_be_read_without_a_script(server: Server) -> None:
    job = server.start("download", keys=["whisper:base"])
    server.wait(job["id"])
    server.wait(server.start("verify")["id"])
    reader = read(server.get("/"))
    data = server.get("/v1/models").json
    words = reader.words()
    for row in data["models"]:
        assert f"{row['key']} " in words
        assert row["licence"] in words
        assert row["revision"][:12] in words
    for category in data["categories"]:
        assert f"{category['title']} {category['present']} of {category['models']}" in words
    base = next(row for row in data["models"] if row["key"] == "whisper:base")
    assert f"whisper:base critical ✓ present 521 kB {base['revision'][:12]} MIT" in words
    assert "2 of 3 critical models not ready" in words
    assert "vad:silero critical ✗ missing" in words
    assert f"whisper:{server.get('/v1/hardware').json['recommendation']['whisper']} on cpu" in words
    assert "Download: whisper:base succeeded" in words
    assert "1 downloaded" in words
    assert "Verify: the whole set failed" in words
    assert "not ready: whisper:large-v3" in words
    assert re.search(r"whisper:base [\d.]+ [kM]?B/s 521 kB", words)


def test_the_bars_are_as_long_as_the_figures(server: Server) -> None:
    server.wait(server.start("download", keys=["whisper:base", "spacy:en_core_web_sm"])["id"])
    drawn = [
        float(own["width"] or 0) for tag, own in read(server.get("/")).elements if tag == "rect"
    ]
    sizes = [row["bytes"] for row in server.get("/v1/models").json["categories"]]
    full, lengths = drawn[0], drawn[1 : 2 * len(sizes) : 2]
    assert lengths == [
        pytest.approx(max(full * size / max(sizes), 2 if size else 0), abs=0.1) for size in sizes
    ]


def test_a_job_under_way_shows_how_far_it_is(serve: Serve) -> None:
    server = serve(env=SLOW)
    job = server.start("download", keys=["whisper:base"])
    end = time.monotonic() + 20
    while True:
        reader = read(server.get("/"))
        bars = [own for tag, own in reader.elements if tag == "progress" and "aria-label" in own]
        if bars and int(bars[0]["value"] or 0) > 0:
            break
        assert time.monotonic() < end
        time.sleep(0.1)
    assert (bars[0]["max"], bars[0]["aria-label"]) == ("521195", "whisper:base")
    assert "Download: whisper:base Stop running since" in reader.words()
    assert "whisper:base critical ◐ under way 521 kB" in reader.words()
    server.ask("DELETE", f"/v1/jobs/{job['id']}")
    server.wait(job["id"])
    words = read(server.get("/")).words()
    assert "No job is under way." in words
    assert "Download: whisper:base stopped" in words
    assert re.search(r"whisper:base critical ◐ partial, \d+ %", words)


def test_what_others_write_stays_a_text(serve: Serve, project: Project) -> None:
    store = JobStore(project.models_root / "service")
    failure = {"code": "unexpected", "message": f"said {EVIL}", "hint": f"try {EVIL}"}
    outcome = {"key": f"a:{EVIL}", "result": EVIL, "bytes_moved": 9, "seconds": 1.0}
    options, result = {"keys": [f"b:{EVIL}"]}, {"outcomes": [outcome]}
    store.add(Job("0" * 16, "download", options, "failed", 1.0, 1.0, 2.0, 4, failure))
    store.add(Job("1" * 16, "download", {}, "succeeded", 1.0, 1.0, 2.0, 0, None, result))
    store.close()
    server = serve(config=HOSTILE)
    answer = server.get("/")
    reader = read(answer)
    assert b"<script>" not in answer.body
    assert [tag for tag, _ in reader.elements].count("script") == 1
    assert "img" not in {tag for tag, _ in reader.elements}
    for words in (f"said {EVIL}", f"try {EVIL}", f"b:{EVIL}", f"a:{EVIL}", f"1 {EVIL}"):
        assert words in reader.words()
    assert f"url:evil {EVIL}\ufffd ✗ missing not known {EVIL}" in reader.words()
    assert "\u202e" not in reader.text


def test_a_broken_configuration_is_said_on_the_page(server: Server, project: Project) -> None:
    project.config.write_text("[download]\nmax_workers = '<b>many</b>'\n")
    answer = server.get("/")
    words = read(answer, status_of("config-invalid")).words()
    assert "The set cannot be read" in words
    assert "<b>many</b>" in words
    assert "config-invalid" in words
    project.config.write_text(HOSTILE.replace("url:evil", "url:<script>x</script>"))
    answer = server.get("/")
    assert "<script>x</script>" in read(answer, status_of("catalog-invalid")).words()
    assert b"<script>" not in answer.body


def test_static_files_have_tags_and_no_neighbours(server: Server) -> None:
    described = server.get("/v1/openapi.json").json["paths"]
    assert not [path for path in described if path == "/" or path.startswith("/static")]
    for name, kind in (
        ("app.css", "text/css; charset=utf-8"),
        ("app.js", "text/javascript; charset=utf-8"),
        ("icon.svg", "image/svg+xml"),
    ):
        answer = server.get(f"/static/{name}")
        assert (answer.status, answer.headers["content-type"]) == (200, kind)
        again = server.get(f"/static/{name}", If_None_Match=answer.headers["etag"])
        assert (again.status, again.body) == (304, b"")
        text = answer.body.decode().replace("http://www.w3.org/2000/svg", "")
        assert "://" not in text  # no other host
    for path in ("page.py", "..%2fpage.py", "%2e%2e/page.py", "../templates/page.html", "app.js/"):
        assert server.get(f"/static/{path}").status in (307, 404)


# --- for strangers ---------------------------------------------------------------------------

_EXPOSED = """
import sys
from modelset.core.values import replace
from modelset.server.app import make_app
from modelset.server.run import listen, serve
from modelset.settings import load_settings
settings = load_settings({})
serving = replace(settings.serving, host="0.0.0.0", port=0, token=sys.argv[1])
own = replace(settings, serving=serving)
with listen(replace(serving, host="127.0.0.1")) as bound:
    serve(make_app(lambda: own, own), bound, lambda words: print(words, flush=True))
"""


@pytest.fixture
def exposed(project: Project, hub_config: str, tmp_path: Path) -> Iterator[Server]:
    """A service that takes every client for a stranger, though it listens on loopback."""
    project.config.write_text(hub_config)
    with (tmp_path / "exposed.log").open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-c", _EXPOSED, TOKEN],
            env={**project.environ, "HF_TOKEN": "hf_demo"},
            cwd=project.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    assert process.stdout is not None
    with process.stdout as said:
        port = int(said.readline().rpartition(":")[2])
        yield Server(process, port, tmp_path / "exposed.log")
        process.kill()
        process.wait(10)


def sign_in(server: Server, token: str, **headers: str) -> Answer:
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    return server.ask("POST", "/", f"token={token}".encode(), {**kind, **headers})


def test_a_stranger_sees_nothing_but_the_form(exposed: Server) -> None:
    answer = exposed.get("/")
    reader = read(answer, 401)
    assert reader.words().startswith(
        "Sign in - models on this machine Models on this machine The t"
    )
    assert b"whisper" not in answer.body
    assert ("form", "post") in [(tag, own.get("method")) for tag, own in reader.elements]
    assert exposed.get("/static/app.css").status == 200
    assert exposed.get("/v1/models").status == 401


def test_the_form_opens_a_session(exposed: Server) -> None:
    wrong = sign_in(exposed, "wrong")
    assert "this is not the token of this server" in read(wrong, 401).words()
    assert "set-cookie" not in wrong.headers
    assert sign_in(exposed, TOKEN, Origin="http://elsewhere.example").status == 403
    assert sign_in(exposed, "").status == 401
    assert exposed.ask("POST", "/", b"&=&\xff=%%%&" * 1000).status == 401
    right = sign_in(exposed, TOKEN)
    assert (right.status, right.headers["location"]) == (303, "./")
    cookie, *rules = right.headers["set-cookie"].split("; ")
    assert {"HttpOnly", "SameSite=strict"} <= set(rules)
    page = exposed.get("/", Cookie=cookie)
    assert "Sign out" in read(page).words()
    assert "whisper:base" in read(page).words()
    assert TOKEN not in page.body.decode() + wrong.body.decode() + exposed.log.read_text()
    assert exposed.ask("DELETE", "/v1/session", headers={"Cookie": cookie}).status == 204
    assert exposed.get("/", Cookie=cookie).status == 401
    guesses = {sign_in(exposed, f"guess-{number}").status for number in range(20)}
    assert guesses == {401, 429}
    assert "too many tries" in read(sign_in(exposed, TOKEN), 429).words()


def test_who_may_read_and_who_may_change() -> None:
    bare: dict[str, Any] = {"type": "http", "headers": []}
    known = {**bare, "headers": [(b"authorization", f"Bearer {TOKEN}".encode())]}
    open_to_all = Access(Serving(host="0.0.0.0", token=TOKEN))
    assert not open_to_all.may_read(bare)
    assert open_to_all.may_read(known)
    local = Access(Serving(token=TOKEN))
    assert local.may_read(bare)
    assert not local.may_change(bare)
    assert local.may_change(known)


# --- in a browser ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's chromium, without a screen."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    with api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield running
        running.close()


Visit = Callable[..., "Page"]


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    """Opens the page of a service; afterwards, that it met no error and asked no other host."""
    contexts: list[BrowserContext] = []
    faults: list[str] = []

    def start(server: Server, *, path: str = "/", **options: Any) -> Page:
        context = browser.new_context(**options)
        context.set_default_timeout(15_000)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on(
            "console",
            # An answer that is an error is a line too; what became of it is for each test to say.
            lambda row: (
                row.type == "error"
                and not row.text.startswith("Failed to load resource")
                and faults.append(row.text)
            ),
        )
        page.on(
            "request",
            lambda one: one.url.startswith(f"{server.url}/") or faults.append(f"asked {one.url}"),
        )
        page.goto(f"{server.url}{path}")
        return page

    yield start
    for context in contexts:
        context.close()
    assert faults == []


def until(page: Page, holds: Callable[[], bool], within_s: float = 20.0) -> None:
    """Wait here; the page's own policy lets nobody evaluate a text in it again and again."""
    end = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < end
        page.wait_for_timeout(50)


def faults_of(page: Page, within: str = "html") -> list[str]:
    """What axe-core takes for serious, with the element that it is about."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="no axe-core")
    found = axe.Axe().run(page, within).response["violations"]
    return [
        f"{row['id']}: {row['nodes'][0]['html']}"
        for row in found
        if row["impact"] in ("serious", "critical")
    ]


def test_a_download_is_started_watched_and_stopped(serve: Serve, visit: Visit) -> None:
    page = visit(serve(env=SLOW))
    page.evaluate("""() => {
      window.heard = [];
      const place = document.getElementById("said");
      new MutationObserver(() => heard.push(place.textContent)).observe(place, {childList: true});
    }""")
    page.get_by_role("button", name="Download whisper:base").click()
    bar = page.get_by_role("progressbar", name="whisper:base")
    bar.wait_for()
    seen = [0.0]
    while len(seen) < 3:
        until(page, lambda: bar.evaluate("bar => bar.value") > seen[-1])
        seen.append(bar.evaluate("bar => bar.value"))
    assert seen[-1] <= bar.evaluate("bar => bar.max") == 521195
    page.get_by_role("button", name="Stop Download: whisper:base").click()
    page.locator("[data-over] .outcome", has_text="stopped").wait_for()
    page.get_by_text("No job is under way.").wait_for()
    row = page.locator("[data-model='whisper:base'] .presence")
    until(page, lambda: re.fullmatch(r"◐ partial, \d+ %", row.inner_text()) is not None)
    heard = page.evaluate("heard")
    assert len(heard) <= 6, "a listener is told every step"
    assert len(set(heard)) == len(heard), "something is told twice"
    assert heard[0] == "The job has begun."
    assert heard[-1] == "Download: whisper:base: stopped"


def test_the_whole_set_comes_and_its_speeds_are_drawn(server: Server, visit: Visit) -> None:
    page = visit(server)
    page.get_by_role("button", name="Download what is missing").click()
    page.get_by_role("heading", name="All critical models are ready").wait_for()
    page.locator("#speed .bar").first.wait_for()
    assert page.locator("#models .presence.present").count() == page.locator("[data-model]").count()
    assert "spacy:en_core_web_sm" in page.locator("#speed").inner_text()
    assert page.locator("#done .succeeded").count() == 1
    page.get_by_role("button", name="Verify all").click()
    page.locator("#done", has_text="read, 0 files bad").wait_for()
    page.get_by_role("button", name="Check for updates").click()
    page.locator("#done", has_text="nothing is newer").wait_for()
    page.get_by_role("button", name="Update", exact=True).click()
    page.locator("#done th", has_text="Update: the whole set").wait_for()


def test_the_token_is_asked_for_once(serve: Serve, visit: Visit) -> None:
    server = serve(env={"MODELSET_SERVER_TOKEN": TOKEN})
    page = visit(server)
    page.get_by_role("button", name="Download vad:silero").click()
    dialog = page.get_by_role("dialog", name="This needs the token of the server")
    dialog.get_by_role("button", name="Cancel").click()
    page.get_by_text("Nothing was changed.").wait_for()
    assert server.get("/v1/jobs").json["jobs"] == []
    page.get_by_role("button", name="Download vad:silero").click()
    dialog.get_by_label("Token", exact=True).fill("wrong")
    dialog.get_by_role("button", name="Sign in").click()
    dialog.get_by_text("this is not the token of this server").wait_for()
    dialog.get_by_label("Token", exact=True).fill(TOKEN)
    dialog.get_by_label("Token", exact=True).press("Enter")
    page.locator("[data-model='vad:silero'] .present").wait_for()
    page.get_by_role("button", name="Download spacy:en_core_web_sm").click()
    page.locator("[data-model='spacy:en_core_web_sm'] .present").wait_for()
    assert not dialog.is_visible()
    assert TOKEN not in page.content()
    assert page.get_by_label("Token", exact=True).input_value() == ""
    assert "modelset" not in page.evaluate("document.cookie + JSON.stringify(localStorage)")
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("button", name="Sign out").wait_for(state="detached")
    page.get_by_role("button", name="Verify all").click()
    dialog.wait_for()


def test_the_keyboard_is_enough(serve: Serve, visit: Visit) -> None:
    page = visit(serve(env=SLOW))
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the models"
    page.keyboard.press("Enter")
    seen = []
    for _ in range(20):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.getAttribute('aria-label')"))
        if seen[-1] == "Download whisper:base":
            break
    assert len(seen) < 10, seen
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    page.keyboard.press("Enter")
    page.get_by_role("progressbar", name="whisper:base").wait_for()
    stays = page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert stays == "Download whisper:base"
    for _ in range(20):
        if "Stop" in page.evaluate("document.activeElement.textContent"):
            break
        page.keyboard.press("Shift+Tab")
    page.keyboard.press("Space")
    page.get_by_text("No job is under way.").wait_for()
    assert page.evaluate("document.activeElement.textContent") == "Under way"


def test_work_that_others_begin_is_seen_and_so_is_a_lost_server(serve: Serve, visit: Visit) -> None:
    server = serve(env=SLOW)
    page = visit(server)
    server.start("download", keys=["whisper:base"])
    page.get_by_role("progressbar", name="whisper:base").wait_for()
    server.stop(signal.SIGKILL)
    page.get_by_text("The server does not answer").wait_for()


def test_nothing_has_to_be_moved_sideways(serve: Serve, visit: Visit) -> None:
    server = serve(env=SLOW, config=HOSTILE.replace("evil", "very-long-name" * 5))
    server.wait(server.start("verify")["id"])
    server.start("download", keys=["whisper:base"])
    page = visit(server)
    page.get_by_role("progressbar", name="whisper:base").wait_for()
    for width in (320, 360, 700, 720, 1200):
        page.set_viewport_size({"width": width, "height": 740})
        assert page.evaluate("document.documentElement.scrollWidth") == width


LOOKS = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "phone": {"viewport": {"width": 360, "height": 740}, "has_touch": True},
}


def test_axe_finds_nothing_serious(serve: Serve, visit: Visit) -> None:
    server = serve(env={**SLOW, "MODELSET_SERVER_TOKEN": TOKEN})
    server.headers["Authorization"] = f"Bearer {TOKEN}"
    server.wait(server.start("download", keys=["vad:silero"])["id"])
    server.wait(server.start("verify")["id"])
    server.start("download", keys=["whisper:base", "whisper:large-v3"])
    pages: list[Page] = []
    for name, options in LOOKS.items():
        page = visit(server, **options)
        page.get_by_role("progressbar", name="whisper:base").wait_for()
        assert page.get_by_role("table").count() == 4, name
        assert faults_of(page) == [], name
        pages.append(page)
    page.evaluate("document.querySelector('#models button').removeAttribute('aria-label')")
    page.evaluate("document.querySelector('#models button').replaceChildren()")
    assert any(fault.startswith("button-name") for fault in faults_of(page, "#models")), (
        "axe can fail"
    )
    for page in pages[:2]:
        page.get_by_role("button", name="Verify all").click()
        page.get_by_role("dialog").wait_for()
        assert faults_of(page, "#ask") == []


def test_a_browser_without_script_signs_in_and_reads(exposed: Server, visit: Visit) -> None:
    page = visit(exposed, java_script_enabled=False)
    page.get_by_label("The token of this server").fill(TOKEN)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="critical models not ready").wait_for()
    assert page.get_by_role("row", name="whisper:base").first.is_visible()
    assert page.get_by_role("button").count() == 0, "no button that does nothing"


def test_a_stranger_signs_in_with_a_script_too(exposed: Server, visit: Visit) -> None:
    page = visit(exposed)
    assert faults_of(page) == []
    page.get_by_label("The token of this server").fill(TOKEN)
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Verify all").click()
    page.locator("#done th", has_text="Verify: the whole set").wait_for()
