// What was seen since the page was opened, for charts: one sample a look, bounded. Nothing here touches the page.

import { COLOURS } from "./words.js";

const SAMPLES_MAX = 1_800;
const WINDOW_S = 30;

export class History {
  constructor() {
    this.names = new Map();
  }

  add(at_s, status, charts) {
    for (const [name, view] of Object.entries(status.services)) {
      const kept = this.names.get(name) || [];
      const chart = charts.services[name] || { errors: {}, tolerated: null, times: {} };
      kept.push(sample(at_s, view, chart, charts.gamma, kept));
      if (kept.length > SAMPLES_MAX) kept.splice(0, kept.length - SAMPLES_MAX);
      this.names.set(name, kept);
    }
    for (const name of this.names.keys()) if (!(name in status.services)) this.names.delete(name);
  }

  of(name) {
    return this.names.get(name) || [];
  }
}

function sample(at_s, view, chart, gamma, kept) {
  const found = { at_s, times: chart.times, tolerated: chart.tolerated };
  found.wanted = greenShare(view, view.share_bp);
  found.observed = greenShare(view, view.observed_share_bp);
  const before = kept.find((one) => one.at_s >= at_s - WINDOW_S) || { times: {} };
  for (const colour of COLOURS) {
    const judged = chart.errors[colour];
    const fresh = since(before.times[colour] || {}, chart.times[colour]);
    found[colour] = {
      ratio: judged ? Math.min(1, judged.errors / judged.requests) : null,
      low: judged ? judged.low : null,
      high: judged ? judged.high : null,
      p50: quantile(fresh, 0.5, gamma),
      p95: quantile(fresh, 0.95, gamma),
      in_flight: view.pools[colour].in_flight,
      sessions: ((view.sessions || {})[colour] || { count: null }).count,
    };
  }
  return found;
}

// Shares of the API are those of the pool that a release goes to, or of the one that is not active.
function greenShare(view, share_bp) {
  if (view.active === null || share_bp === null) return null;
  const to = view.to || (view.active === "blue" ? "green" : "blue");
  return (to === "green" ? share_bp : 10_000 - share_bp) / 10_000;
}

function since(before, now) {
  if (!now) return null;
  const fresh = {};
  for (const [bucket, number] of Object.entries(now)) {
    const left = number - (before[bucket] || 0);
    if (left < 0) return now;  // The source began anew.
    if (left > 0) fresh[bucket] = left;
  }
  return fresh;
}

export function quantile(buckets, part, gamma) {
  if (!buckets) return null;
  const sorted = Object.entries(buckets).map(([bucket, number]) => [Number(bucket), number]).sort((a, b) => a[0] - b[0]);
  const total = sorted.reduce((sum, [, number]) => sum + number, 0);
  let seen = 0;
  for (const [bucket, number] of sorted) {
    seen += number;
    if (seen >= part * total - 1e-9) return gamma ** bucket;
  }
  return null;
}
