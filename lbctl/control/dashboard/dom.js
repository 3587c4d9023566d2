// Elements are made of names, attributes and texts: what a server or a person wrote is never read as HTML.

export function el(name, attributes = {}, ...inside) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...inside.flat());  // A string becomes a text node.
  return made;
}

// Puts `make()` into the element of this id if `facts` are not those of the last time: what nobody changed keeps its focus,
// its scroll position, and says nothing to a screen reader.
const shown = new Map();
export function show(id, facts, make) {
  const key = JSON.stringify(facts);
  if (shown.get(id) === key) return;
  shown.set(id, key);
  document.getElementById(id).replaceChildren(...[make()].flat());
}

export function table(caption, heads, rows) {
  const head = el("tr", {}, heads.map((one) => el("th", { scope: "col" }, one)));
  const body = rows.map((row) => el("tr", {}, row.map((cell, at) =>
    at === 0 ? el("th", { scope: "row" }, cell) : el("td", {}, cell))));
  return el("table", {}, el("caption", {}, caption), el("thead", {}, head), el("tbody", {}, body));
}

export function none(text) {
  return el("p", { class: "none" }, text);
}

// Glyph and word together, for those who see no colours and those who see nothing.
const GLYPHS = { good: "●", wait: "◐", bad: "✖", unknown: "?" };
export function mark(state, word) {
  return el("span", { class: state }, el("span", { "aria-hidden": "true" }, `${GLYPHS[state] || "?"} `), word);
}
