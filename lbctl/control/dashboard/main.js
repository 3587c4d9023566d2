// Reads, draws, and says what is old. Nothing here changes anything: the page only asks with GET.

import { Chart } from "./charts.js";
import { el, none, show } from "./dom.js";
import { follow, read } from "./feed.js";
import { History } from "./history.js";
import { chosen, gates, leaving, matrix, sentence, servers, state, targets, timeline } from "./sections.js";
import { ENDED } from "./words.js";

const EVERY_MS = 1_000;
const HIDDEN_MS = 5_000;
const CALM_MS = 5_000;  // How often the charts move where people asked for less motion, and how often aloud.
const EVENTS_MAX = 500;
const OLD_MS = 5_000;

const calm = matchMedia("(prefers-reduced-motion: reduce)");
const select = document.getElementById("target");
const history = new History();
let seen = null;
let events = [];
let charts = new Map();
let read_ms = performance.now();
let heard = true;
let drawn_ms = -Infinity;
let said_ms = -Infinity;
let wake = () => {};

async function look() {
  const [status, releases, figures, windows] = await Promise.all(
    ["v1/status", "v1/releases", "v1/charts", "v1/freezes"].map(read));
  seen = { status, releases: releases.releases, windows: windows.windows };
  history.add(Date.now() / 1000, status, figures);
  read_ms = performance.now();
}

function draw() {
  if (seen === null) return;
  const names = targets(seen.status);
  choose(names);
  if (!names.length) return;
  const about = chosen(seen.status, seen.releases, select.value);
  state(about);
  leaving(about);
  gates(about, seen.status.daemon, seen.windows);
  matrix(about);
  timeline(events, about);
  servers(about);
  figures(about);
  say(sentence(about));
}

// The first choice is what moves; the address keeps what a person chose.
function choose(names) {
  const moving = names.find((one) => !ENDED.has((seen.status.units[one] || seen.status.services[one]).phase));
  const wanted = [inAddress(), select.value, moving].find((one) => names.includes(one));
  show("target", names, () => names.map((one) => el("option", { value: one }, one)));
  select.value = wanted || names[0];
}

function inAddress() {
  try {
    return decodeURIComponent(location.hash.slice(1));
  } catch {
    return "";  // Somebody's own address, cut off within a character: it names nothing.
  }
}

function figures(about) {
  const wanted = [["split", about.carrier, "split"], ...about.names.flatMap((name) =>
    [["errors", name, "errors"], ["times", name, "times"], ["in_flight", name, "work"], ["sessions", name, "work"]])];
  const key = JSON.stringify(wanted);
  if (charts.key !== key) {
    for (const { chart } of charts.values()) chart.drop();
    charts = new Map(wanted.map(([kind, name, place]) => [`${kind} ${name}`, { chart: new Chart(kind, name), name, place }]));
    charts.key = key;
    for (const place of ["split", "errors", "times", "work"]) {
      const nodes = [...charts.values()].filter((one) => one.place === place).map((one) => one.chart.node);
      show(place, key, () => el("div", { class: "figures" }, nodes));
    }
    drawn_ms = -Infinity;
  }
  const now = performance.now();
  if (calm.matches && now - drawn_ms < CALM_MS) return;
  drawn_ms = now;
  for (const { chart, name } of charts.values()) chart.draw(history.of(name));
}

// One sentence for those who listen, at most every five seconds.
function say(text) {
  const place = document.getElementById("said");
  const now = performance.now();
  if (place.textContent === text || now - said_ms < CALM_MS) return;
  said_ms = now;
  place.textContent = text;
}

function tellLine(trouble) {
  const old_ms = performance.now() - read_ms;
  const line = document.getElementById("line");
  const version = seen ? `lbctld ${seen.status.daemon.version}, pid ${seen.status.daemon.pid}` : "";
  const old = seen ? `this is ${Math.floor(old_ms / 1000)} s old` : "nothing was read yet";
  const late = trouble !== null || old_ms >= OLD_MS;
  line.className = late || !heard ? "bad" : "";
  line.textContent = late ? `✖ ${old}: ${trouble === null ? "lbctld is slow" : trouble.message}`
    : heard ? `● live, ${version}` : "✖ Decisions may be missing here: lbctld does not send events";
  if (trouble !== null && seen === null) {
    show("state", [trouble.message, trouble.why, trouble.then], () => [
      el("p", { class: "lead" }, trouble.message), none(trouble.why), none(trouble.then && `Next: ${trouble.then}`)]);
  }
}

async function live() {
  for (;;) {
    tellLine(await look().then(draw).then(() => null, (error) => error));
    await new Promise((done) => { wake = done; setTimeout(done, document.hidden ? HIDDEN_MS : EVERY_MS); });
  }
}

select.addEventListener("change", () => { location.hash = encodeURIComponent(select.value); draw(); });
addEventListener("hashchange", draw);
document.addEventListener("visibilitychange", () => wake());
follow((fresh, anew) => {
  events = (anew ? fresh : [...events, ...fresh]).slice(-EVENTS_MAX);
  wake();
}, (now) => { heard = now; });
live();
