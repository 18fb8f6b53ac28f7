"use strict";

// The page is whole without this script. Here its buttons become requests, its bars follow the
// events of the jobs, and what has changed in the server's page changes here too.
(() => {
  const LOOK_MS = 5000;
  // Small models end many at a time.
  const SOON_MS = 1000;
  const TELL_MS = 5000;
  // A browser keeps few connections to one server, and other tabs need some.
  const STREAMS = 3;
  const UNFINISHED = ["queued", "running"];

  const page = () => document.getElementById("page");
  const streams = new Map();
  // Of each job the last event that was told, for a stream that begins again at its first, and
  // whether there will be none.
  const heard = new Map();
  const over = new Set();
  let drawing = null;
  let again = false;
  let soon = null;

  function show(id, words) {
    const place = document.getElementById(id);
    if (place.textContent !== words) place.textContent = words;
  }

  function say(words) {
    show("wrong", "");
    show("said", words);
  }

  function sizeWords(size) {
    let value = size;
    for (const unit of ["B", "kB", "MB"]) {
      if (value < 999.5) {
        return `${value.toFixed(unit === "B" || value >= 99.5 ? 0 : 1)} ${unit}`;
      }
      value /= 1000;
    }
    return `${value.toFixed(value < 99.5 ? 2 : 0)} GB`;
  }

  function tellTimes(tree) {
    for (const time of tree.querySelectorAll("time")) {
      const moment = new Date(time.dateTime);
      time.textContent = moment.toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
    }
  }

  // Where a person was: the same button in the new part, else another of its row, else its title.
  function focusAgain(part, lost) {
    const same = (button) => button.dataset.key === lost.dataset.key;
    const buttons = [...part.querySelectorAll("button")].filter(same);
    const exact = buttons.find((button) => button.dataset.do === lost.dataset.do);
    (exact || buttons[0] || part.querySelector("h2")).focus();
  }

  // Change only what differs, so that a reader's place, a focus and an open part stay as they are.
  function merge(old, fresh) {
    if (old.isEqualNode(fresh)) return;
    const isAlike = old.nodeName === fresh.nodeName;
    if (!isAlike || old.childNodes.length !== fresh.childNodes.length) {
      old.replaceWith(fresh);
    } else if (old.nodeType !== Node.ELEMENT_NODE) {
      old.data = fresh.data;
    } else {
      for (const name of old.getAttributeNames()) {
        if (name !== "open" && !fresh.hasAttribute(name)) old.removeAttribute(name);
      }
      for (const { name, value } of fresh.attributes) old.setAttribute(name, value);
      const children = [...fresh.childNodes];
      [...old.childNodes].forEach((child, number) => merge(child, children[number]));
    }
  }

  async function drawOnce() {
    const answer = await fetch("./", { cache: "no-store" });
    const tree = new DOMParser().parseFromString(await answer.text(), "text/html");
    const main = tree.getElementById("page");
    if (!main) {
      location.reload(); // the session is over, or the set cannot be read: the server says it
      return;
    }
    tellTimes(tree);
    Object.assign(page().dataset, main.dataset);
    const lost = document.activeElement;
    const home = lost?.closest("section[id]")?.id;
    for (const part of main.querySelectorAll("section[id]")) {
      merge(document.getElementById(part.id), part);
    }
    if (home && !lost.isConnected) focusAgain(document.getElementById(home), lost);
    follow();
  }

  async function draw() {
    clearTimeout(soon);
    soon = null;
    again = true;
    drawing ??= (async () => {
      while (again) {
        again = false;
        await drawOnce();
      }
    })().finally(() => (drawing = null));
    await drawing.catch(() => {});
  }

  // --- jobs ---------------------------------------------------------------------------------

  function rowOf(card, key) {
    const list = card.querySelector(".moving");
    let row = [...list.children].find((one) => one.dataset.moving === key);
    if (!row) {
      const name = key === "verify" ? "all files" : key;
      row = document.getElementById("moving-row").content.firstElementChild.cloneNode(true);
      row.dataset.moving = key;
      row.querySelector(".name").textContent = name;
      row.querySelector("progress").setAttribute("aria-label", name);
      list.append(row);
    }
    return row;
  }

  function move(row, have, total) {
    const bar = row.querySelector("progress");
    if (total !== undefined) bar.max = Math.max(total, 1);
    bar.value = have;
    const percent = Math.floor((100 * Math.max(have, 0)) / bar.max);
    row.querySelector(".n").textContent = `${percent} % of ${sizeWords(total ?? bar.max)}`;
  }

  // Ears get a quarter of what moves, and not often; eyes get every step.
  function tellQuarter(card, stream) {
    const bars = [...card.querySelectorAll("progress")];
    const most = bars.reduce((sum, bar) => sum + bar.max, 0);
    const quarter = most ? Math.floor((4 * bars.reduce((sum, bar) => sum + bar.value, 0)) / most) : 0;
    const isLate = performance.now() - stream.told > TELL_MS;
    if (quarter > stream.quarter && quarter < 4 && isLate) {
      say(`${card.dataset.name}: ${quarter * 25} %`);
      stream.told = performance.now();
    }
    stream.quarter = quarter;
  }

  function hear(stream, event) {
    const card = document.querySelector(`[data-job="${stream.id}"]`);
    if (!card) return;
    const data = JSON.parse(event.data);
    const number = Number(event.lastEventId);
    const isNews = number > heard.get(stream.id);
    if (isNews) heard.set(stream.id, number);
    if (data.event === "started") {
      move(rowOf(card, data.key), data.bytes_kept, data.bytes_total);
    } else if (data.event === "moved") {
      move(rowOf(card, data.key), data.bytes);
      tellQuarter(card, stream);
    } else if (data.event === "unpacked") {
      rowOf(card, data.key).querySelector(".n").textContent = `unpacked ${sizeWords(data.bytes)}`;
    } else if (data.event === "retrying") {
      const wait = `${data.failure.code}, next try in ${Math.ceil(data.delay_s)} s`;
      rowOf(card, data.key).querySelector(".n").textContent = wait;
    } else if (data.event === "ended") {
      rowOf(card, data.key).remove();
      stream.ended += 1;
      card.querySelector("[data-ended]").textContent = `, ${stream.ended} done`;
      if (isNews && data.result !== "ready") say(`${data.key}: ${data.result}`);
      if (isNews) soon ??= setTimeout(draw, SOON_MS);
    } else if (data.event === "job") {
      if (!UNFINISHED.includes(data.state)) {
        end(stream);
        over.add(stream.id);
        if (isNews) say(`${card.dataset.name}: ${data.state}`);
      }
      if (isNews) draw();
    }
  }

  function end(stream) {
    stream.source.close();
    streams.delete(stream.id);
  }

  function begin(card) {
    const id = card.dataset.job;
    const source = new EventSource(`v1/jobs/${id}/events`);
    const stream = { id, source, ended: 0, quarter: 0, told: -TELL_MS };
    streams.set(id, stream);
    if (!heard.has(id)) heard.set(id, Number(card.dataset.seen));
    for (const kind of ["job", "started", "moved", "unpacked", "retrying", "ended"]) {
      source.addEventListener(kind, (event) => hear(stream, event));
    }
    source.addEventListener("error", () => {
      if (source.readyState === EventSource.CLOSED) end(stream); // the next look begins another
      look();
    });
  }

  // Running jobs are heard first; who waits is seen by the next look.
  function follow() {
    const shown = document.hidden ? [] : [...document.querySelectorAll("[data-job]")];
    const cards = shown.filter((card) => !over.has(card.dataset.job));
    cards.sort((one, other) => (one.dataset.state < other.dataset.state ? 1 : -1));
    const wanted = cards.slice(0, STREAMS);
    const ids = wanted.map((card) => card.dataset.job);
    for (const stream of [...streams.values()]) if (!ids.includes(stream.id)) end(stream);
    for (const card of wanted) if (!streams.has(card.dataset.job)) begin(card);
  }

  // What nobody told this page: another person's job, a file that went.
  async function look() {
    if (document.hidden) return;
    try {
      const known = page().dataset;
      const [models, jobs] = await Promise.all([
        fetch("v1/models", { cache: "no-store", headers: { "If-None-Match": known.tag } }),
        fetch("v1/jobs?limit=20", { cache: "no-store" }),
      ]);
      const rows = jobs.ok ? (await jobs.json()).jobs : [];
      const mark = rows.map((job) => `${job.id}:${job.state}`).join(" ");
      if (models.status !== 304 || mark !== known.jobs) await draw();
      else follow();
      if (document.getElementById("wrong").dataset.lost) tellLost(false);
    } catch {
      tellLost(true);
    }
  }

  function tellLost(isLost) {
    const place = document.getElementById("wrong");
    if (isLost) place.dataset.lost = "1";
    else delete place.dataset.lost;
    show("wrong", isLost ? "The server does not answer; what is shown may be old." : "");
  }

  // --- wishes -------------------------------------------------------------------------------

  async function send(method, path, body) {
    const headers = body ? { "Content-Type": "application/json" } : {};
    return fetch(path, { method, headers, body: body && JSON.stringify(body) });
  }

  async function wordsOf(answer) {
    const problem = await answer.json().catch(() => ({}));
    return [problem.detail || `the server answered ${answer.status}`, problem.hint]
      .filter(Boolean)
      .join("; ");
  }

  // Whether somebody gave the token; the session that it opens is a cookie no script can read.
  function askToken() {
    const dialog = document.getElementById("ask");
    const field = document.getElementById("token");
    show("ask-wrong", "");
    dialog.returnValue = "";
    dialog.showModal();
    return new Promise((resolve) => {
      const submit = async (event) => {
        event.preventDefault();
        try {
          const answer = await send("POST", "v1/session", { token: field.value });
          if (answer.ok) dialog.close("known");
          else show("ask-wrong", await wordsOf(answer));
        } catch {
          show("ask-wrong", "The server does not answer.");
        }
        field.value = "";
        field.focus();
      };
      dialog.addEventListener("submit", submit);
      const close = () => {
        dialog.removeEventListener("submit", submit);
        field.value = "";
        resolve(dialog.returnValue === "known");
      };
      dialog.addEventListener("close", close, { once: true });
    });
  }

  async function wish(method, path, body) {
    let answer = await send(method, path, body);
    while (answer.status === 401 && (await askToken())) answer = await send(method, path, body);
    if (answer.ok) return answer;
    if (answer.status === 401) say("Nothing was changed.");
    else show("wrong", await wordsOf(answer));
    return null;
  }

  async function press({ do: action, key, check }) {
    if (action === "cancel") return document.getElementById("ask").close();
    if (action === "sign-out") {
      await send("DELETE", "v1/session");
      return location.reload();
    }
    if (action === "stop") {
      if (await wish("DELETE", `v1/jobs/${key}`)) say("Stopping; what has been fetched is kept.");
      return draw();
    }
    const work = { action, ...(key && { keys: [key] }), ...(check && { check: true }) };
    const answer = await wish("POST", "v1/jobs", work);
    if (answer) say("The job has begun.");
    return draw();
  }

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button[data-do]");
    if (!button || button.getAttribute("aria-disabled") === "true") return;
    button.setAttribute("aria-disabled", "true"); // and not `disabled`, which would lose the focus
    try {
      await press(button.dataset);
    } catch {
      tellLost(true);
    } finally {
      button.removeAttribute("aria-disabled");
    }
  });

  document.addEventListener("visibilitychange", () => {
    follow();
    look();
  });
  addEventListener("pagehide", () => [...streams.values()].forEach(end));
  addEventListener("pageshow", (event) => event.persisted && look());

  tellTimes(document);
  document.documentElement.classList.add("live");
  follow();
  setInterval(look, LOOK_MS);
})();
