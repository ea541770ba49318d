// Live view: phases, curves and a heat map of scores on canvases of its own, so that a refresh is one drawing
// and nothing on the page is taken down and put up again.

const SKELETON = `
<div class="banner"><b class="chip"></b><span class="said" aria-live="polite"></span><span class="facts"></span></div>
<canvas class="phases" role="img" aria-label="Phases of the run"></canvas>
<div class="curves"></div>
<div class="heat"><canvas role="img"></canvas><div class="tip" hidden><b> </b><span> </span></div></div>
<ol class="events" aria-label="Events" tabindex="0"></ol>`;
const ROW = 21, HEAD = 26, MARKS = { selected: "--s-selected", orphaned: "--s-dead-end", zero: "--s-erased" };
const COLOURS = { loss: "--c-loss", accuracy: "--c-accuracy", lr: "--c-lr", zero_groups: "--c-zero" };

const STATES = { a: "alive", s: "selected", o: "orphaned", z: "zero" };

const bytesOf = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
const number = (value) => {
  const size = Math.abs(value);
  return size && (size < 0.001 || size >= 1e5) ? value.toExponential(1) : String(+value.toPrecision(3));
};
const write = (element, text) => {
  const node = element.firstChild ?? element.appendChild(document.createTextNode(""));
  if (node.data !== text) node.data = text;
};
const make = (tag, name) => Object.assign(document.createElement(tag), { className: name });

class LiveView {
  constructor(root) {
    this.root = root;
    root.innerHTML = SKELETON;
    const find = (name) => root.querySelector(name);
    [this.chip, this.said, this.facts, this.phases, this.grid, this.heat, this.tip, this.events] =
      [".chip", ".said", ".facts", ".phases", ".curves", ".heat canvas", ".heat .tip", ".events"].map(find);
    this.charts = [];
    this.cursor = null;
    this.heat.addEventListener("pointermove", (e) => this.pointHeat(e));
    this.heat.addEventListener("pointerleave", () => { this.tip.hidden = true; });
    this.heat.addEventListener("click", (e) => {
      const row = this.rowAt(e);
      if (!row) return;
      this.send("structure", row[0]);
      // The graphs that this view paints show where it is.
      for (const graph of this.graphs ?? [])
        window.dispatchEvent(new CustomEvent("nasviz:choose", { detail: { graph, key: String(row[0]) } }));
    });
    this.watch = new ResizeObserver(() => this.draw());
    this.watch.observe(root);
  }

  // A frame tells what moves; the rows tell, once, which structures there are.
  show({ frame }, known) {
    const scores = new Float32Array(bytesOf(frame.scores).buffer);
    const structures = [...frame.states].map((letter, i) => {
      const [id, name] = known[i] ?? [i, ""];
      return [id, name, STATES[letter], Number.isNaN(scores[i]) ? null : +scores[i].toPrecision(5)];
    });
    const curves = frame.curves.map((curve) => {
      const [steps, values] = curve.points.map((text) => bytesOf(text).buffer);
      const heights = new Float32Array(values);
      return { ...curve, points: [...new Int32Array(steps)].map((step, i) => [step, +heights[i].toPrecision(5)]) };
    });
    const data = this.data = { ...frame, structures, curves };
    while (this.charts.length < data.curves.length) {
      const canvas = make("canvas", "curve");
      canvas.setAttribute("role", "img");
      canvas.addEventListener("pointermove", (e) => {
        const { left, width } = canvas.getBoundingClientRect();
        this.cursor = (e.clientX - left) / width;
        this.drawCurves();
      });
      canvas.addEventListener("pointerleave", () => { this.cursor = null; this.drawCurves(); });
      this.grid.append(canvas);
      this.charts.push(canvas);
    }
    while (this.facts.children.length < data.facts.length) {
      const fact = make("span", "fact");
      fact.append(make("b", ""), make("i", ""));
      this.facts.append(fact);
    }
    [...this.facts.children].forEach((fact, i) => {
      fact.hidden = i >= data.facts.length;
      if (!fact.hidden) { write(fact.children[0], data.facts[i][1]); write(fact.children[1], data.facts[i][0]); }
    });
    while (this.events.children.length < data.events.length) this.events.append(make("li", ""));
    [...this.events.children].forEach((line, i) => {
      const event = data.events[data.events.length - 1 - i];
      line.hidden = !event;
      if (event) write(line, `step ${event[0]} · ${event[2] || event[1]}`);
    });
    write(this.chip, data.state);
    this.chip.dataset.state = data.state;
    const share = data.total ? ` of ${data.total}` : "";
    write(this.said, data.step < 0 ? "waiting for the first step" : `${data.phase} · step ${data.step + 1}${share}`);
    const zero = data.structures.filter((s) => s[2] === "zero").length;
    const row = ([, name, state, score]) => `${name}: ${state}, ${score ?? "no score"}`;
    const rows = data.structures.slice(0, 40).map(row);
    const told = `${data.measure} of ${data.structures.length} structures over time; ${zero} are zero. ${rows.join("; ")}`;
    this.heat.setAttribute("aria-label", told);
    const pairs = bytesOf(data.heat), size = data.structures.length * data.columns.length;
    this.bytes = Uint8Array.from({ length: size }, (_, i) => (i % 2 ? pairs[i >> 1] & 15 : pairs[i >> 1] >> 4));
    this.draw();
  }

  // A canvas in device pixels, cleared; null while it is not on screen.
  pen(canvas, height) {
    const width = canvas.clientWidth, ratio = window.devicePixelRatio || 1;
    if (!width) return null;
    const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (canvas.width !== w || canvas.height !== h) {
      Object.assign(canvas, { width: w, height: h });
      canvas.style.height = height + "px";
    }
    const pen = canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.font = `12px ${this.font}`;
    pen.textBaseline = "middle";
    return { pen, width, height };
  }
  draw() {
    if (!this.data) return;
    const style = getComputedStyle(this.root);
    this.font = style.fontFamily;
    const read = new Map(); // a large run asks for a colour thousands of times
    this.colour = (name) => read.get(name) ?? read.set(name, style.getPropertyValue(name).trim()).get(name);
    this.span = [0, Math.max(this.data.total - 1, this.data.step, 1)];
    this.drawPhases(); this.drawCurves(); this.drawHeat();
  }

  drawPhases() {
    const canvas = this.pen(this.phases, 30);
    if (!canvas) return;
    const { pen, width } = canvas, [, last] = this.span;
    const x = (step) => (step / (last + 1)) * width;
    pen.fillStyle = this.colour("--soft");
    pen.beginPath(); pen.roundRect(0, 4, width, 22, 7); pen.fill();
    pen.save(); pen.clip();
    for (const [name, from, to] of this.data.phases) {
      const isNow = name === this.data.phase;
      pen.fillStyle = this.colour("--p-" + name);
      pen.globalAlpha = isNow ? 1 : 0.62;
      pen.fillRect(x(from), 4, Math.max(x(to + 1) - x(from) - 1.5, 1), 22);
      pen.globalAlpha = 1;
      pen.fillStyle = "#ffffff";
      pen.font = `${isNow ? 600 : 400} 12.5px ${this.font}`;
      if (pen.measureText(name).width + 14 < x(to + 1) - x(from)) pen.fillText(name, x(from) + 8, 15.5);
    }
    pen.restore();
  }

  drawCurves() {
    this.data?.curves.forEach((curve, i) => this.drawCurve(this.charts[i], curve));
  }
  drawCurve(element, { name, title, points, marks }) {
    const canvas = this.pen(element, 150);
    if (!canvas) return;
    const { pen, width, height } = canvas;
    const values = [...points, ...marks].map((p) => p[1]);
    let low = Math.min(...values), high = Math.max(...values);
    if (!values.length) [low, high] = [0, 1];
    if (name !== "lr" && name !== "loss") low = Math.min(0, low);
    if (name === "accuracy") high = Math.max(high, low + 0.1);
    if (high - low < 1e-12) { high += Math.abs(high) * 0.1 || 1; }
    const box = { left: 52, right: width - 10, top: 30, bottom: height - 20 };
    const x = (step) => box.left + (step / this.span[1]) * (box.right - box.left);
    const y = (value) => box.bottom - ((value - low) / (high - low)) * (box.bottom - box.top);
    pen.fillStyle = this.colour("--ink");
    pen.font = `600 13px ${this.font}`;
    pen.fillText(title, 10, 13);
    pen.font = `12px ${this.font}`;
    pen.textAlign = "right";
    pen.strokeStyle = this.colour("--line");
    pen.lineWidth = 1;
    for (const part of [0, 0.5, 1]) {
      const value = low + part * (high - low), at = Math.round(y(value)) + 0.5;
      pen.beginPath(); pen.moveTo(box.left, at); pen.lineTo(box.right, at); pen.stroke();
      pen.fillStyle = this.colour("--faint");
      pen.fillText(name === "accuracy" ? Math.round(value * 100) + "%" : number(value), box.left - 6, at);
    }
    const first = this.data.phases.slice(1);
    pen.setLineDash([3, 3]);
    const upright = (step) => {
      pen.beginPath(); pen.moveTo(x(step), box.top); pen.lineTo(x(step), box.bottom); pen.stroke();
    };
    for (const [, from] of first) upright(from);
    pen.setLineDash([]);
    const colour = this.colour(COLOURS[name]);
    pen.strokeStyle = colour;
    pen.lineWidth = 1.8;
    pen.lineJoin = "round";
    pen.beginPath();
    points.forEach(([step, value], i) => {
      if (i && (name === "zero_groups" || name === "lr")) pen.lineTo(x(step), y(points[i - 1][1]));
      if (i) pen.lineTo(x(step), y(value)); else pen.moveTo(x(step), y(value));
    });
    pen.stroke();
    for (const [step, value, network] of marks) {
      pen.beginPath();
      if (network === "full") pen.arc(x(step), y(value), 3.6, 0, 7);
      else pen.rect(x(step) - 3.6, y(value) - 3.6, 7.2, 7.2);
      pen.fillStyle = this.colour("--page"); pen.fill(); pen.stroke();
    }
    const newest = points.at(-1);
    let read = newest;
    if (this.cursor !== null && points.length) {
      const step = ((this.cursor * width - box.left) / (box.right - box.left)) * this.span[1];
      read = points.reduce((best, p) => (Math.abs(p[0] - step) < Math.abs(best[0] - step) ? p : best));
      pen.strokeStyle = this.colour("--faint"); pen.lineWidth = 1;
      upright(read[0]);
    }
    if (read) {
      pen.fillStyle = colour;
      pen.beginPath(); pen.arc(x(read[0]), y(read[1]), 3.2, 0, 7); pen.fill();
      pen.textAlign = "right";
      pen.font = `600 13px ${this.font}`;
      pen.fillText(name === "accuracy" ? (read[1] * 100).toFixed(1) + "%" : number(read[1]), box.right, 13);
      if (this.cursor !== null) {
        pen.fillStyle = this.colour("--faint"); pen.font = `12px ${this.font}`;
        pen.textAlign = "center";
        pen.fillText("step " + read[0], Math.min(Math.max(x(read[0]), box.left + 24), box.right - 30), height - 8);
      }
      element.setAttribute("aria-label", `${title}, now ${number(newest[1])}`);
    }
    pen.textAlign = "left";
  }

  drawHeat() {
    const { structures, columns } = this.data;
    const shown = structures.length;
    this.heat.parentNode.hidden = !shown;
    if (!shown) return;
    const row = shown > 60 ? 11 : ROW;
    const canvas = this.pen(this.heat, HEAD + shown * row + 6);
    if (!canvas) return;
    const { pen, width } = canvas;
    pen.font = `12.5px ${this.font}`;
    const name = Math.min(this.widest(pen, structures) + 18, width * 0.34);
    const box = { left: name, right: width - 92, row };
    this.heatBox = box;
    const [low, high] = this.data.ends;
    const steps = columns.length ? `steps ${columns[0]} to ${columns.at(-1)}` : "";
    pen.font = `12px ${this.font}`;
    const scale = 146 + pen.measureText(low).width, told = pen.measureText(steps).width;
    pen.font = `600 13px ${this.font}`;
    let heading = `${this.data.measure} of each structure`, edge = box.right;
    if (10 + pen.measureText(heading).width > edge - scale) {  // a phone
      heading = this.data.measure;
      edge = width - 4;
    }
    const after = 20 + pen.measureText(heading).width;
    pen.fillStyle = this.colour("--ink");
    pen.fillText(heading, 10, 13, edge - scale - 10);
    pen.font = `12px ${this.font}`;
    pen.fillStyle = this.colour("--faint");
    if (after + told < edge - scale) pen.fillText(steps, after, 13);
    pen.textAlign = "right";
    pen.fillText(low, edge - 132, 13);
    for (let bin = 0; bin < 9; bin++) {
      pen.fillStyle = this.colour("--cividis-b" + bin);
      pen.fillRect(edge - 126 + bin * 7, 7, 7, 11);
    }
    pen.fillStyle = this.colour("--faint");
    pen.textAlign = "left";
    pen.fillText(high, edge - 58, 13);
    const picture = this.picture(shown, columns.length);
    if (picture) {
      pen.imageSmoothingEnabled = false;
      pen.drawImage(picture, box.left, HEAD, box.right - box.left, shown * row - 1);
    }
    pen.fillStyle = this.colour("--page");
    structures.forEach((_, i) => pen.fillRect(0, HEAD + i * row + row - 1, width, 1));
    if (row < ROW) return;
    structures.forEach(([, text, state, score], i) => {
      const y = HEAD + i * row;
      pen.fillStyle = this.colour(state === "zero" ? "--faint" : "--ink");
      pen.font = `12.5px ${this.font}`;
      pen.fillText(text, 10, y + row / 2, name - 16);
      if (state === "zero") pen.fillRect(10, y + row / 2, Math.min(pen.measureText(text).width, name - 16), 1);
      if (!MARKS[state]) {
        pen.fillStyle = this.colour("--faint");
        if (score !== null) pen.fillText(number(score), box.right + 10, y + row / 2);
        return;
      }
      pen.fillStyle = pen.strokeStyle = this.colour(MARKS[state]);
      pen.lineWidth = 1.4;
      pen.setLineDash(state === "zero" ? [4, 2] : state === "orphaned" ? [1.5, 2] : []);
      pen.beginPath(); pen.roundRect(box.right + 8, y + 2.5, 72, row - 6, 6); pen.stroke();
      pen.setLineDash([]);
      pen.font = `600 11.5px ${this.font}`;
      pen.textAlign = "center";
      pen.fillText(state, box.right + 44, y + row / 2);
      pen.textAlign = "left";
    });
  }
  // Width of the longest name: names stay, so they are measured once.
  widest(pen, structures) {
    const names = pen.font + structures.map((s) => s[1]).join("\n");
    if (names !== this.measured) {
      this.measured = names;
      this.longest = Math.max(...structures.map((s) => pen.measureText(s[1]).width));
    }
    return this.longest;
  }
  picture(rows, columns) {
    if (!columns || this.bytes.length !== rows * columns) return null;
    this.sheet ??= document.createElement("canvas");
    Object.assign(this.sheet, { width: columns, height: rows });
    const pen = this.sheet.getContext("2d"), image = pen.createImageData(columns, rows);
    const pixels = new DataView(image.data.buffer); // red, green, blue, opaque, whatever the machine's order
    const colours = Array.from({ length: 9 }, (_, i) => parseInt(this.colour("--cividis-b" + i).slice(1) + "ff", 16));
    this.bytes.forEach((bin, i) => { if (bin < 9) pixels.setUint32(4 * i, colours[bin]); });
    pen.putImageData(image, 0, 0);
    return this.sheet;
  }
  rowAt(event) {
    const { top } = this.heat.getBoundingClientRect();
    const index = Math.floor((event.clientY - top - HEAD) / (this.heatBox?.row ?? ROW));
    return this.data?.structures[index];
  }
  pointHeat(event) {
    const row = this.rowAt(event);
    this.tip.hidden = !row;
    if (!row) return;
    const { left, top, width } = this.heat.getBoundingClientRect();
    write(this.tip.children[0], row[1]);
    const score = row[3] === null ? "" : ` · ${this.data.measure.toLowerCase()} ${number(row[3])}`;
    write(this.tip.children[1], `structure ${row[0]} · ${row[2]}${score}`);
    const x = Math.min(event.clientX - left + 14, width - 220);
    this.tip.style.transform = `translate(${x}px,${event.clientY - top + 16}px)`;
  }
  end() {
    this.watch.disconnect();
    window.removeEventListener("nasviz:live", this.heard);
  }
}

const views = new WeakMap();

export default function ({ data, parentElement, setStateValue }) {
  const root = parentElement.querySelector(".nasviz-live");
  const view = views.get(root) ?? views.set(root, new LiveView(root)).get(root);
  view.send = setStateValue;
  const hear = (message) => {
    if (message?.live !== data.live) return;
    const [r, g, b] = (getComputedStyle(root).backgroundColor.match(/[\d.]+/g) ?? [255, 255, 255]).map(Number);
    root.classList.toggle("dark", 0.3 * r + 0.59 * g + 0.11 * b < 110);
    view.graphs = message.paint.map((painted) => painted.graph);
    view.show(message, data.rows);
  };
  window.removeEventListener("nasviz:live", view.heard);
  view.heard = ({ detail }) => hear(detail);
  window.addEventListener("nasviz:live", view.heard);
  hear(window.nasvizLive?.[data.live]);
  return () => { view.end(); views.delete(root); };
}
