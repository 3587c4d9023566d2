// Numbers as people read them; the same words as `lbctl status`.

export const ENDED = new Set([null, "finished", "rolled_back", "cancelled"]);
export const COLOURS = ["blue", "green"];

export function percent(bp) {
  return bp === null || bp === undefined ? "?" : `${bp / 100} %`;
}

export function ratio(value) {
  return value === null || value === undefined ? "–" : `${(100 * value).toFixed(2)} %`;
}

export function count(value) {
  return value === null || value === undefined ? "?" : String(value);
}

export function ms(value) {
  if (value === null || value === undefined) return "–";
  return value < 1000 ? `${value.toFixed(0)} ms` : `${(value / 1000).toFixed(1)} s`;
}

export function span(milliseconds) {
  const s = Math.floor(milliseconds / 1000);
  if (s < 60) return `${s}s`;
  if (s < 3600) return `${Math.floor(s / 60)}m${String(s % 60).padStart(2, "0")}s`;
  return `${Math.floor(s / 3600)}h${String(Math.floor((s % 3600) / 60)).padStart(2, "0")}m`;
}

export function clock(wall) {
  return wall && wall.length >= 19 ? `${wall.slice(11, 19)}Z` : "-";
}

export function phase(word) {
  return word ? word.replaceAll("_", " ") : "no release";
}

export function phaseState(word, held) {
  if (["rolling_back", "rolled_back", "cancelled"].includes(word)) return "bad";
  return held || ["preflight", "awaiting_approval"].includes(word) ? "wait" : "good";
}
