// From the API's answers to the page, section by section.

import { el, mark, none, show, table } from "./dom.js";
import { COLOURS, ENDED, clock, count, percent, phase, phaseState, span } from "./words.js";

const UNKNOWN = { true: ["good", "up"], false: ["bad", "down"], null: ["unknown", "unknown"] };

// What can be chosen: units, and the services that are in none.
export function targets(status) {
  const inside = new Set(Object.values(status.units).flatMap((one) => one.services));
  return [...Object.keys(status.units), ...Object.keys(status.services).filter((one) => !inside.has(one))];
}

// What is shown of a target: its own view, its services, the one that carries the split, and its release.
export function chosen(status, releases, name) {
  const unit = status.units[name] || null;
  const view = unit || status.services[name];
  const names = unit ? unit.services : [name];
  const release = releases.find((one) => one.id === view.release) || null;
  const carrier = (unit && unit.carrier) || (release && release.service) || names[names.length - 1];
  return { name, unit, view, names, release, carrier, services: names.map((one) => [one, status.services[one]]) };
}

export function sentence({ name, view }) {
  const share = ENDED.has(view.phase) ? "" : ` at ${percent(view.share_bp)}`;
  const held = view.held ? `, held: ${view.held.reason}` : "";
  return `${name}: ${view.release ? `release ${view.release} ` : ""}${phase(view.phase)}${share}${held}`;
}

export function state(about) {
  const { name, view, release, services } = about;
  const facts = [];
  const fact = (word, ...texts) => facts.push(el("dt", {}, word), el("dd", {}, ...texts));
  if (view.step) {
    const { index, count: steps, since_ms, judged, planned } = view.step;
    const evidence = planned ? `, ${judged} of ${planned} requests judged` : `, ${judged} requests judged`;
    fact("Step", `${index} of ${steps} (${percent(view.share_bp)}) for ${span(since_ms)}${evidence}`);
  }
  if (view.next) fact("Next", view.next);
  if (view.held) fact("Held", mark("wait", `${view.held.reason} for ${span(view.held.since_ms)}`),
    view.held.needs ? `; needs ${view.held.needs}` : "");
  if (release) {
    if (!view.next && release.outcome) fact("Outcome", release.outcome);
    fact("Who", `${release.initiator}${release.reason ? `, because: ${release.reason}` : ""}`);
    if (release.back_by) fact("Back by", release.back_by);
    for (const one of release.members) fact(one.service, `${one.from} → ${one.to} ${one.version}`);
  }
  for (const [service, one] of services) {
    if (one.verdict) {
      const { odds, limit, reason } = one.verdict;
      const scale = odds === null || reason.includes("odds ") ? "" : `; odds ${odds.toPrecision(3)}, back by itself at ${limit}`;
      fact(services.length > 1 ? `Judge of ${service}` : "Judge", `${reason}${scale}`);
    }
    if (!one.active) fact(service, mark("wait", "only observed"), `: lbctl adopt ${service} --active blue|green`);
  }
  const lead = el("p", { class: "lead" }, mark(phaseState(view.phase, view.held), phase(view.phase)),
    ` ${name}${view.release ? `, release ${view.release}` : ""}`);
  show("state", [name, view.phase, view.step, view.next, view.held, release, services.map(([, one]) => [one.verdict, one.active])],
    () => [lead, el("dl", {}, facts)]);
}

export function leaving({ services }) {
  const found = services.flatMap(([name, one]) => COLOURS.flatMap((colour) => {
    const seen = (one.sessions || {})[colour];
    const left = seen && seen.leaving;
    return left ? [[name, colour, count(left.left), `${span(left.deadline_ms)}, then ${left.at_deadline}`,
      left.hindered || left.text]] : [];
  }));
  show("leaving", found, () => (found.length
    ? table("Sessions that leave their pool", ["Service", "Pool", "Left", "Deadline in", "How"], found)
    : none("No sessions leave a pool now.")));
}

export function gates({ view, release, services, names }, daemon, windows) {
  const rows = [];
  const row = (gate, good, yes, no) => rows.push([gate, good ? mark("good", "open") : mark("wait", "waits"), good ? yes : no]);
  row("journal", daemon.journal === "ok", "decisions are recorded", daemon.journal);
  if (daemon.config_refused) row("config", false, "", daemon.config_refused);
  const frozen = windows.filter((one) => one.open && one.services.some((name) => names.includes(name)));
  row("calendar", !frozen.length, "no freeze window is open",
    frozen.map((one) => `frozen until ${one.until || "it is removed"}${one.reason ? `: ${one.reason}` : ""}`).join("; "));
  const approvals = release && release.approvals;
  if (approvals && approvals.count) {
    row("approval", approvals.given.length >= approvals.count, approvals.given.join(", "),
      `${approvals.given.length} of ${approvals.count} by people of ${approvals.group}`);
  }
  for (const [name, one] of services) {
    const colour = one.candidate;
    if (colour) {
      const pool = one.pools[colour];
      const up = `${pool.up_count} of ${pool.server_count} servers of ${colour} are up`;
      row(`health of ${name}`, pool.up_count === pool.server_count, up, up);
    }
    for (const lack of one.unready || []) row(`ready: ${name}`, false, "", lack.text);
    if (one.claim) row(`claim of ${name}`, one.claim.granted, `${one.claim.colour} by ${one.claim.build || one.claim.by}`,
      one.claim.waits);
  }
  const board = view.board && view.services ? Object.entries(view.board) : services.flatMap(([name, one]) =>
    (one.board ? [[name, one.board]] : []));
  for (const [name, ready] of board) row(`board: ${name} ${ready.version}`, !ready.waits, "ready", ready.waits);
  for (const hold of (release && release.holds) || []) {
    row(hold.code, false, "", `${hold.reason}${hold.needs ? `; needs ${hold.needs}` : ""}`);
  }
  show("gates", rows.map(([gate, cell, text]) => [gate, cell.textContent, text]),
    () => table("What must say yes", ["Gate", "State", "Why"], rows));
}

export function matrix({ unit }) {
  const cells = Object.entries((unit && unit.matrix) || {}).flatMap(([provider, found]) => found.map((cell) => [provider, cell]));
  const pins = Object.entries((unit && unit.pins) || {});
  show("matrix", [cells.map(([name, { last_s, ...cell }]) => [name, cell]), pins], () => {
    if (!cells.length && !pins.length) return none("Nobody is known to call between these services.");
    const word = ({ right, wrong }) => (right === null ? mark("unknown", "no pool of a consumer")
      : right ? mark("good", "as pinned") : mark("bad", `${wrong} against the pin`));
    const pinned = pins.map(([name, pin]) => [name.replace("<", " ← "), pin.want || "?", pin.observed || "?", pin.boot || "?",
      pin.want === pin.observed ? mark("good", "read back") : mark("wait", "not read back")]);
    return [
      cells.length ? table("Calls", ["Provider", "Caller", "Answered by", "Calls", "In this release", "Pin"],
        cells.map(([name, cell]) => [name, cell.caller || "somebody else", cell.colour, count(cell.requests),
          count(cell.in_release), word(cell)])) : none("No call was seen yet."),
      pins.length ? table("Pins", ["Provider ← caller", "Wanted", "Read back", "After a reload", "State"], pinned) : "",
    ];
  });
}

const SEVERITY = { page: ["bad", "page"], warning: ["wait", "warning"], info: ["good", "info"] };

export function timeline(events, { names }) {
  const mine = events.filter((one) => one.service === null || names.includes(one.service));
  show("timeline", mine.map((one) => one.id), () => (mine.length
    ? el("ol", { reversed: "" }, mine.toReversed().map((one) => {
      const who = one.actor && !one.text.includes(one.actor) ? ` [${one.actor}]` : "";
      const about = [one.service, one.release].filter(Boolean).join(" ");
      return el("li", { class: "event" }, el("time", { datetime: one.wall }, clock(one.wall)), " ",
        mark(...(SEVERITY[one.severity] || ["unknown", one.severity])), ` ${about} `, el("strong", {}, one.kind),
        ` ${one.text}${who}`);
    }))
    : none("Nothing has happened yet.")));
}

// As `lbctl status` and `lbctl top` say it: a server that is down is down, whoever drains it besides.
function stateOf(server) {
  if (server.drained && server.up !== false) return ["wait", server.drained.state === "drain" ? "drained" : "undrained"];
  return server.draining ? ["wait", "drained"] : UNKNOWN[server.up];
}

export function servers({ services }) {
  const rows = services.flatMap(([service, view]) => Object.entries(view.servers).map(([name, one]) => {
    const word = mark(...stateOf(one));
    return [`${service}/${name}`, one.pool, word, count(one.weight), count(one.in_flight), count(one.requests),
      count(one.errors), one.says || "", one.detail];
  }));
  const heads = ["Server", "Pool", "State", "Weight", "In flight", "Requests", "Errors", "Says", "Detail"];
  const facts = rows.map(([name, pool, cell, ...rest]) => [name, pool, cell.textContent, ...rest]);
  show("servers", facts, () => table("As read back", heads, rows));
}
