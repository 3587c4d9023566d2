// What the daemon says: answers that are asked for, and events as they come. Foreign text stays text.

export class Problem extends Error {
  constructor(found) {
    super(found.title || "lbctld does not answer, or the forward has ended");
    this.why = found.detail || "";
    this.then = found.then || "";
  }
}

const TIMEOUT_MS = 10_000;

export async function read(path) {
  let ok = false;
  let found = {};
  try {
    const answer = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS) });
    found = await answer.json();
    ok = answer.ok;
  } catch {
    // Cut off, too late, or no JSON: each means that nobody answers.
  }
  if (!ok) throw new Problem(found);
  return found;
}

const TAIL = 200;
const AGAIN_MS = 2_000;
const SILENT_MS = 40_000;  // The daemon says at least every 15 s that it lives.

// Calls `told(events, anew)` with the newest events, then with each that comes, and `heard(whether)` when the daemon begins
// or ceases to tell them. Never ends: a line that breaks is taken up at the last id, and whoever missed too much reads anew.
export async function follow(told, heard) {
  let last = null;
  for (;;) {
    try {
      if (last === null) {
        const { events } = await read(`v1/events?tail=${TAIL}`);
        told(events, true);
        last = events.length ? events[events.length - 1].id : 0;
      }
      for await (const event of stream(last, heard)) {
        if (event === "resync") { last = null; break; }
        last = event.id;
        told([event], false);
      }
    } catch {
      heard(false);
    }
    await new Promise((done) => setTimeout(done, AGAIN_MS));
  }
}

async function* stream(after, heard) {
  const stop = new AbortController();
  let silent = setTimeout(() => stop.abort(), SILENT_MS);
  try {
    const answer = await fetch(`v1/events?follow=1&after=${after}`, { cache: "no-store", signal: stop.signal });
    if (!answer.ok) throw new Problem(await answer.json());
    heard(true);
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      clearTimeout(silent);
      silent = setTimeout(() => stop.abort(), SILENT_MS);
      const parts = (text + value).split("\n\n");
      text = parts.pop();
      for (const part of parts) {
        const found = parsed(part);
        if (found !== null) yield found;
      }
    }
  } finally {
    clearTimeout(silent);
    stop.abort();
  }
}

function parsed(part) {
  const lines = part.split("\n");
  if (lines.includes("event: resync")) return "resync";
  const data = lines.find((line) => line.startsWith("data: "));
  return data === undefined ? null : JSON.parse(data.slice(6));
}
