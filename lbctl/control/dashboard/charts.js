// Charts with uPlot, and beside each the same numbers as a table for those who cannot see or point at a chart.

import { count, ms, ratio } from "./words.js";
import { el, table } from "./dom.js";

/* global uPlot */

const ROWS = 20;
const HEIGHT = 170;
const BLUE = { stroke: "--blue", width: 2 };
const GREEN = { stroke: "--green", width: 2, dash: [7, 4] };
const THIN = { width: 1 };
const EDGE = { width: 0, points: { show: false } };
const LIMIT = { stroke: "--limit", width: 2, dash: [2, 3] };

// A line: its words, its mark in the legend, where a sample has it, and how it is drawn. `edge`: it only bounds a band.
const line = (words, mark, of, drawn) => ({ words, mark, of, drawn });
const edge = (words, of, drawn) => ({ words, mark: null, of, drawn: { ...drawn, ...EDGE }, edge: true });

export const KINDS = {
  split: {
    title: "New traffic to green",
    show: (value) => ratio(value),
    range: [0, 1],
    lines: [
      line("wanted", "green", (one) => one.wanted, { ...GREEN, dash: [] }),
      line("read back", "seen", (one) => one.observed, { stroke: "--ink", width: 1, dash: [4, 3] }),
    ],
  },
  errors: {
    title: "Error ratio at this step, with its 95 % band",
    show: (value) => ratio(value),
    lines: [
      line("blue", "blue", (one) => one.blue.ratio, BLUE),
      edge("blue low", (one) => one.blue.low, BLUE),
      edge("blue high", (one) => one.blue.high, BLUE),
      line("green", "green", (one) => one.green.ratio, GREEN),
      edge("green low", (one) => one.green.low, GREEN),
      edge("green high", (one) => one.green.high, GREEN),
      line("tolerated", "limit", (one) => one.tolerated, LIMIT),
    ],
    bands: [{ series: [3, 2], fill: "--blue" }, { series: [6, 5], fill: "--green" }],
  },
  times: {
    title: "Times of requests over 30 s",
    show: (value) => ms(value),
    lines: [
      line("blue p50", "blue thin", (one) => one.blue.p50, { ...BLUE, ...THIN }),
      line("blue p95", "blue", (one) => one.blue.p95, BLUE),
      line("green p50", "green thin", (one) => one.green.p50, { ...GREEN, ...THIN }),
      line("green p95", "green", (one) => one.green.p95, GREEN),
    ],
  },
  in_flight: {
    title: "Requests in flight",
    show: (value) => count(value),
    lines: [
      line("blue", "blue", (one) => one.blue.in_flight, BLUE),
      line("green", "green", (one) => one.green.in_flight, GREEN),
    ],
  },
  sessions: {
    title: "Sticky sessions of the last minute",
    show: (value) => count(value),
    lines: [
      line("blue", "blue", (one) => one.blue.sessions, BLUE),
      line("green", "green", (one) => one.green.sessions, GREEN),
    ],
  },
};

const dark = matchMedia("(prefers-color-scheme: dark)");

export class Chart {
  constructor(kind, about) {
    this.kind = KINDS[kind];
    const title = about ? `${about}: ${this.kind.title}` : this.kind.title;
    this.plate = el("div", { "aria-hidden": "true" });
    this.twin = el("div", { class: "scrolls" });
    this.open = el("details", {}, el("summary", {}, `Table: ${title}`), this.twin);
    this.title = title;
    const legend = this.kind.lines.filter((one) => !one.edge).map((one) => el("li", { class: one.mark }, one.words));
    this.node = el("figure", {}, el("figcaption", {}, title), el("ul", { class: "legend" }, legend), this.plate, this.open);
    this.samples = [];
    this.open.addEventListener("toggle", () => this.tell());
    dark.addEventListener("change", () => { this.drop(); this.draw(this.samples); });
  }

  draw(samples) {
    this.samples = samples;
    const width = this.plate.clientWidth;
    if (!width) return;
    const data = [samples.map((one) => one.at_s), ...this.kind.lines.map((each) => samples.map(each.of))];
    if (!this.plot) {
      this.plot = new uPlot(this.options(width), data, this.plate);
    } else {
      if (this.plot.width !== width) this.plot.setSize({ width, height: HEIGHT });
      this.plot.setData(data);
    }
    this.tell();
  }

  drop() {
    if (this.plot) this.plot.destroy();
    this.plot = null;
  }

  tell() {
    if (!this.open.open) return;
    const heads = ["Time", ...this.kind.lines.map((one) => one.words)];
    const rows = this.samples.slice(-ROWS).reverse().map((sample) => [
      new Date(sample.at_s * 1000).toISOString().slice(11, 19) + "Z",
      ...this.kind.lines.map((one) => this.kind.show(one.of(sample))),
    ]);
    this.twin.replaceChildren(table(`${this.title}, the newest ${ROWS} looks`, heads, rows));
  }

  options(width) {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const axis = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } };
    const series = this.kind.lines.map(({ words, drawn }) => ({
      label: words, points: { show: false }, ...drawn, stroke: drawn.width ? colour(drawn.stroke) : "transparent",
    }));
    return {
      width,
      height: HEIGHT,
      legend: { show: false },
      cursor: { drag: { x: false, y: false } },
      scales: { y: { range: this.kind.range || ((_, low, high) => [0, (high || 0.01) * 1.1]) } },
      axes: [axis, { ...axis, size: 64, values: (_, ticks) => ticks.map((one) => this.kind.show(one)) }],
      series: [{}, ...series],
      bands: (this.kind.bands || []).map(({ series, fill }) => ({ series, fill: `${colour(fill)}26` })),
    };
  }
}
