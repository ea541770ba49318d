// The panel beside a graph: what is told of the chosen vertex, and what can be done with it.

const make = (tag, name, text) => {
  const element = document.createElement(tag);
  if (name) element.className = name;
  if (text !== undefined) element.textContent = text;
  return element;
};
const knob = (text, title, action) => {
  const button = make("button", "", text);
  button.title = title;
  button.setAttribute("aria-label", title);
  button.dataset.do = action;
  return button;
};
const short = (value) => {
  const size = Math.abs(value);
  return size && (size < 0.001 || size >= 1e5) ? value.toExponential(1) : String(+value.toPrecision(3));
};

// A page that did not come over https or from this machine has no clipboard: the old way then.
async function toClipboard(text) {
  try { await navigator.clipboard.writeText(text); }
  catch {
    const box = Object.assign(document.createElement("textarea"), { value: text });
    document.body.append(box);
    box.select();
    document.execCommand("copy");
    box.remove();
  }
}

// Values over steps as one small line, its last value beside it.
function sparkline(points, measure) {
  const [width, height] = [200, 38], part = (tag, settings) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(settings)) element.setAttribute(name, value);
    return element;
  };
  const steps = points.map((p) => p[0]), values = points.map((p) => p[1]);
  const low = Math.min(...values), span = Math.max(...values) - low || 1;
  const x = (step) => 3 + ((step - steps[0]) / (steps.at(-1) - steps[0] || 1)) * (width - 6);
  const y = (value) => height - 4 - ((value - low) / span) * (height - 8);
  const told = `${measure} from step ${steps[0]} to ${steps.at(-1)}, now ${short(values.at(-1))}`;
  const svg = part("svg", { class: "spark", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": told });
  const line = points.map(([step, value]) => `${x(step).toFixed(1)},${y(value).toFixed(1)}`).join(" ");
  svg.append(part("polyline", { points: line }), part("circle", { cx: x(steps.at(-1)), cy: y(values.at(-1)), r: 2.6 }));
  const row = make("div", "history");
  row.append(make("span", "", `${measure}, steps ${steps[0]} to ${steps.at(-1)}`), svg, make("b", "", short(values.at(-1))));
  return row;
}

class Panel {
  constructor(element) {
    this.element = element;
    this.abouts = [];
    this.shown = "";
  }

  // The vertex, where it lies (the frame around it), how many vertices lead there and depend on it.
  draw(v, around, counts) {
    this.vertex = v;
    this.shown = "";
    this.element.hidden = !v;
    if (!v) { this.element.replaceChildren(); this.noteBox = null; return; }
    const head = make("header");
    head.append(make("h3", "", v.title), knob("Copy", "Copy name", "copy"), knob("✕", "Close (Esc)", "drop"));
    this.noteBox = make("p", "note");
    this.more = make("div", "more");
    this.lines = make("dl");
    for (const [label, text] of v.fields) this.line(this.lines, label, text);
    this.line(this.lines, "Neighbours", `${counts.up} lead here, ${counts.down} depend on it`);
    const doors = make("div", "doors");
    if (v.opens) doors.append(knob("Open module", "Open this module (Enter)", "open"));
    if (around?.closes) doors.append(knob("Close " + around.title, "Close the module around it (Shift+Enter)", "close"));
    this.element.replaceChildren(head, this.noteBox, this.lines, this.more, doors);
    this.tell(this.abouts);
    this.note(v.note);
  }
  line(list, label, text) {
    const fate = label !== "Removal" ? "" : text.startsWith("stays") ? "stays" : "goes";
    list.append(make("dt", "", label), make("dd", fate, text));
  }
  note(text) { if (this.noteBox) write(this.noteBox, text ?? ""); }

  // What comes a moment later, from Python: group, slices, history, protection.
  tell(abouts) {
    this.abouts = abouts;
    const about = this.vertex && abouts.find((a) => a.id === this.vertex.id);
    if (!about) return;
    this.named = about.vertex;
    const news = JSON.stringify(about);
    if (news === this.shown) return;
    this.shown = news;
    const list = make("dl");
    for (const [label, text] of about.fields) this.line(list, label, text);
    const doors = make("div", "doors");
    if (about.protected !== null) {
      const lock = knob(about.protected ? "Protected" : "Protect", "Protect it from removal", "protect");
      lock.setAttribute("role", "switch");
      lock.setAttribute("aria-checked", about.protected);
      doors.append(lock);
    }
    doors.append(knob("Copy link", "Copy an address that opens this vertex", "link"));
    this.more.replaceChildren(...(about.history.length > 1 ? [sparkline(about.history, about.measure)] : []), list, doors);
  }
  address() {
    const url = new URL(window.location);
    url.searchParams.set("vertex", this.named);
    return url.href;
  }
  async copy(text, action) {
    await toClipboard(text);
    const button = this.element.querySelector(`[data-do="${action}"]`);
    if (!button) return;
    const before = button.textContent;
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = before; }, 1200);
  }
}
