// Graph view: pan, zoom, search, keyboard, selection and overlays on an SVG that was laid out on the server.
// Recolouring sets classes only: it neither lays out again nor adds or removes an element.

const SKELETON = `
<div class="bar" role="toolbar" aria-label="Graph">
  <label class="find"><span aria-hidden="true">⌕</span><input type="search" placeholder="Search (regex)"
    aria-label="Search vertices by regular expression; Enter goes to the next" spellcheck="false"></label>
  <output class="count" aria-live="polite"></output><span class="gap"></span>
  <button data-do="out" title="Zoom out (-)" aria-label="Zoom out">−</button>
  <button data-do="one" class="scale" title="Readable size (0)" aria-label="Readable size">100%</button>
  <button data-do="in" title="Zoom in (+)" aria-label="Zoom in">+</button>
  <button data-do="fit" title="Fit to the window (f)" >Fit</button>
  <details class="menu"><summary title="Save what is seen" >Save</summary>
    <div><button data-do="svg">SVG</button><button data-do="png">PNG</button><button data-do="dot">DOT</button></div>
  </details>
</div>
<div class="stage" tabindex="0" role="application" aria-roledescription="graph">
  <div class="paper"></div>
  <canvas class="map" aria-hidden="true"></canvas>
  <aside class="panel" hidden aria-label="Chosen vertex"></aside>
  <div class="tip" role="tooltip" hidden><b> </b><span> </span><i> </i></div>
  <div class="said" aria-live="polite"></div>
</div>
<div class="legend" role="group" aria-label="Legend"></div>`;

// All classes of an element in one go: many small changes to a class list are what costs most in a large graph.
const dress = ({ g, base, paint, mark, hit, ring }) =>
  g.setAttribute("class", `${base} ${paint} ${mark} ${hit} ${ring}`);

const once = () => `${performance.timeOrigin + performance.now()}`;

class GraphView extends Camera {
  constructor(root) {
    super();
    this.root = root;
    root.innerHTML = SKELETON;
    const find = (name) => root.querySelector(name);
    [this.stage, this.paper, this.panel, this.tip, this.map, this.box, this.countBox, this.legendBox] =
      [".stage", ".paper", ".panel", ".tip", ".map", "input", ".count", ".legend"].map(find);
    this.told = new Panel(this.panel);
    this.vertices = []; this.hits = []; this.marked = []; this.pointers = new Map();
    this.chosen = this.pointed = -1;
    this.listen();
  }

  // ---- what is shown -------------------------------------------------------------------------------------
  load(data) {
    const before = this.data;
    const anchor = before && this.anchor;
    this.data = data;
    const svg = parseSvg(data.svg);
    this.paper.replaceChildren();
    if (!svg) return;
    const [width, height] = (svg.getAttribute("viewBox") || "0 0 1 1").split(/[ ,]+/).slice(2).map(Number);
    for (const name of ["viewBox", "width", "height"]) svg.removeAttribute(name);
    this.size = { width, height };
    this.paper.append(svg);
    this.svg = svg;
    this.layer = svg.querySelector(".graph");
    const shift = /translate\(([-\d.]+)[ ,]+([-\d.]+)\)/.exec(this.layer.getAttribute("transform") || "");
    this.shift = shift ? [+shift[1], +shift[2]] : [0, 0];
    const byId = new Map([...svg.querySelectorAll("g[id]")].map((g) => [g.id, g]));
    this.vertices = data.vertices.map((v) => {
      const g = byId.get(v.id);
      const { x, y, width: w, height: h } = g.getBBox();
      g.setAttribute("role", "img");
      g.setAttribute("aria-label", [v.title, ...v.fields.slice(0, 2).map((f) => f.join(" "))].join(", "));
      return { ...v, g, name: v.kind + " " + v.key, into: [], from: [], x: x + this.shift[0], y: y + this.shift[1],
        w, h, base: g.getAttribute("class"), paint: "", mark: "", hit: "", ring: "", note: "" };
    });
    this.root.classList.toggle("large", this.vertices.length > 400); // fading thousands of fills takes too long
    this.place = new Map(this.vertices.map((v, i) => [v.id, i]));
    this.clusters = new Map(data.clusters.map((c) => [c.id, { ...c, g: byId.get(c.id) }]));
    this.edges = data.edges.map(([source, target], i) => {
      this.vertices[source].from.push([target, i]); this.vertices[target].into.push([source, i]);
      const g = byId.get("e" + i);
      return { g, base: g.getAttribute("class"), paint: "", mark: "", hit: "", ring: "" };
    });
    this.marked = []; this.pointed = this.chosen = -1;
    this.stage.setAttribute("aria-label", data.title + `, ${this.vertices.length} vertices. Arrow keys follow the ` +
      "edges, Enter opens a module, Shift and Enter closes it, slash searches, f fits, Escape lets go.");
    this.drawLegend();
    this.search(this.box.value);
    this.choose(this.vertices.findIndex((v) => v.name === this.wanted), { quiet: true });
    if (anchor) this.moveTo(anchor); else if (!before) this.readable();
    else this.apply();
    this.anchor = null;
    this.paint(this.painted);
  }

  drawLegend() {
    const item = (name, text, kind) => {
      const row = make("div", "row " + kind);
      row.append(make("span", "key " + name), make("span", "", text));
      return row;
    };
    this.legendBox.replaceChildren(...this.data.legend.map(([role, text]) => item("f-" + role, text, "role")),
      ...this.data.states.map(([state, text]) => item("s-" + state, text, "state")));
    const scale = make("div", "row scale-row");
    scale.append(make("b", "", " "), make("span", "low", " "), make("span", "ramp"), make("span", "high", " "));
    scale.querySelector(".ramp").append(...BINS.map((bin) => make("i", bin)));
    this.legendBox.append(scale);
    this.legendStates = [...this.legendBox.querySelectorAll(".state")];
    this.legendScale = scale;
    for (const row of [...this.legendStates, scale]) row.hidden = true;
  }

  // ---- overlays: classes, attributes and text data only ---------------------------------------------------
  paint(message) {
    if (!message || !this.data || message.view !== this.data.view) return;
    this.painted = message;
    const overlay = unpacked(message.overlay ?? {}, this.vertices);
    const { bins = {}, states = {}, notes = {}, scale = "", limits = ["", ""], legend = [], title = "" } = overlay;
    if (this.root.dataset.scale !== scale) this.root.dataset.scale = scale;
    for (const v of this.vertices) {
      const wanted = `${v.id in bins ? "binned b" + bins[v.id] : ""} ${states[v.id] ?? ""}`;
      v.note = notes[v.id] ?? "";
      if (wanted === v.paint) continue;
      v.paint = wanted;
      v.looks = null;
      dress(v);
    }
    const present = new Set(legend.map(([state]) => state));
    this.data.states.forEach(([state], i) => { this.legendStates[i].hidden = !present.has(state); });
    this.legendScale.hidden = !scale;
    const [name, low, , high] = this.legendScale.children;
    write(name, title); write(low, limits[0]); write(high, limits[1]);
    this.thumb = null;
    this.later();
    if (this.chosen >= 0) this.told.note(this.vertices[this.chosen].note);
    this.told.tell(message.about ?? []);
    if (message.selected !== undefined && message.selected !== this.asked) {
      this.asked = message.selected;
      const index = this.place.get(message.selected) ?? -1;
      if (index < 0 || index === this.chosen) return; // nothing asked for leaves what a person has chosen
      this.choose(index, { quiet: true });
      this.wanted = this.vertices[index]?.name;
      this.show(index);
    }
  }

  // ---- choosing -----------------------------------------------------------------------------------------
  mark(index, fade) {
    const before = this.marked;
    this.marked = [];
    for (const item of before) item.mark = "";
    this.root.classList.toggle("fade", fade && index >= 0);
    const add = (item, name) => { item.mark = name; this.marked.push(item); };
    const walk = (links, name) => {
      const seen = new Set([index]), queue = [index];
      while (queue.length) for (const [next, edge] of this.vertices[queue.pop()][links]) {
        add(this.edges[edge], name);
        if (!seen.has(next)) { seen.add(next); queue.push(next); add(this.vertices[next], name); }
      }
    };
    const counts = { up: 0, down: 0 };
    if (index >= 0) {
      walk("into", "up"); walk("from", "down");
      for (const item of this.marked) if (item.key !== undefined) counts[item.mark]++;
      add(this.vertices[index], "here");
    }
    for (const item of new Set([...before, ...this.marked])) dress(item);
    return counts;
  }
  point(index, event) {
    if (index !== this.pointed) {
      this.pointed = index;
      clearTimeout(this.waiting);
      this.waiting = setTimeout(() => this.mark(index >= 0 ? index : this.chosen, index >= 0), index >= 0 ? 90 : 40);
    }
    this.tip.hidden = index < 0;
    if (index < 0) return;
    const v = this.vertices[index], { left, top, width } = this.stage.getBoundingClientRect();
    const [name, line, note] = this.tip.children;
    write(name, v.title); write(note, v.note ?? "");
    const told = v.fields.filter(([label]) => /Operator|Class|Members|Output|Removal/.test(label));
    write(line, told.map((field) => field[1]).join(" · "));
    const x = clamp(event.clientX - left + 14, 8, Math.max(8, width - 330));
    this.tip.style.transform = `translate(${x}px,${event.clientY - top + 18}px)`;
  }
  choose(index, { quiet = false } = {}) {
    const last = this.vertices[this.chosen];
    if (last) { last.ring = ""; dress(last); }
    this.chosen = index;
    const v = this.vertices[index];
    this.stage.toggleAttribute("aria-activedescendant", false);
    if (v) { v.ring = "chosen"; dress(v); this.stage.setAttribute("aria-activedescendant", v.id); }
    write(this.root.querySelector(".said"), v ? v.g.getAttribute("aria-label") : "");
    const counts = this.mark(index, false);
    this.told.draw(v, v && this.clusters.get(v.in), counts);
    if (quiet) return;
    clearTimeout(this.telling);
    this.telling = setTimeout(() => this.send("selected", (this.wanted = v ? v.name : null)), 120);
  }
  toggle(item) {
    if (!item) return;
    const box = item.g.getBoundingClientRect(), stage = this.stage.getBoundingClientRect();
    this.anchor = { name: item.key, px: box.left + box.width / 2 - stage.left, py: box.top - stage.top };
    clearTimeout(this.telling); // what is opened goes away: one run of the script is enough
    this.trigger("toggled", { id: item.id, once: once() });
  }
  step(links, v) {
    const away = (i) => Math.abs(middle(this.vertices[i])[0] - middle(v)[0]);
    return v[links].map(([i]) => i).sort((a, b) => away(a) - away(b))[0];
  }
  beside(v, sign) {
    const [x, y] = middle(v);
    let best, least = Infinity;
    this.vertices.forEach((other, i) => {
      const dx = (middle(other)[0] - x) * sign, dy = Math.abs(middle(other)[1] - y);
      if (other !== v && dx > 1 && dx + 3 * dy < least) { least = dx + 3 * dy; best = i; }
    });
    return best;
  }
  search(text) {
    for (const v of this.vertices) if (v.hit) { v.hit = ""; dress(v); }
    this.hits = []; this.hit = -1;
    let pattern = null;
    try { pattern = text ? new RegExp(text, "i") : null; this.box.setCustomValidity(""); }
    catch { this.box.setCustomValidity("not a regular expression"); }
    this.vertices.forEach((v, i) => {
      if (!pattern?.test(v.search)) return;
      this.hits.push(i);
      v.hit = "hit";
      dress(v);
    });
    this.root.classList.toggle("searching", this.hits.length > 0);
    const found = this.box.validity.customError ? "not a regular expression" : `${this.hits.length} found`;
    write(this.countBox, text ? found : "");
  }
  nextHit(step) {
    if (!this.hits.length) return;
    this.hit = (this.hit + step + this.hits.length) % this.hits.length;
    this.choose(this.hits[this.hit]);
    this.centre(this.vertices[this.chosen]);
    write(this.countBox, `${this.hit + 1} of ${this.hits.length}`);
  }

  // ---- keys and pointers ----------------------------------------------------------------------------------
  key(event) {
    if (event.target !== this.stage || event.ctrlKey || event.metaKey || event.altKey) return;
    const v = this.vertices[this.chosen];
    const go = (index) => { if (index !== undefined) { this.choose(index); this.show(index); } };
    const keys = {
      "+": () => this.zoom(1.25), "=": () => this.zoom(1.25), "-": () => this.zoom(0.8), 0: () => this.readable(),
      f: () => this.fit(), "/": () => this.box.focus(), Escape: () => this.choose(-1),
      ArrowDown: () => go(v ? this.step("from", v) : 0), ArrowUp: () => go(v ? this.step("into", v) : 0),
      ArrowLeft: () => go(v ? this.beside(v, -1) : 0), ArrowRight: () => go(v ? this.beside(v, 1) : 0),
      Enter: () => { if (event.shiftKey) this.toggle(this.clusters.get(v?.in)); else if (v?.opens) this.toggle(v); },
      Home: () => go(0), End: () => go(this.vertices.length - 1),
    };
    if (!keys[event.key]) return;
    event.preventDefault(); event.stopPropagation();
    keys[event.key]();
  }
  act(name) {
    const v = this.vertices[this.chosen];
    const acts = {
      in: () => this.zoom(1.25), out: () => this.zoom(0.8), one: () => this.readable(), fit: () => this.fit(),
      drop: () => { this.choose(-1); this.stage.focus(); },
      copy: () => this.told.copy(v.title, name), link: () => this.told.copy(this.told.address(), name),
      open: () => this.toggle(v), close: () => this.toggle(this.clusters.get(v.in)),
      protect: () => this.trigger("protected", { id: v.id, once: once() }),
    };
    if (["svg", "png", "dot"].includes(name)) {
      save(this, name);
      this.root.querySelector(".menu").open = false;
    } else acts[name]?.();
  }
  under(event) {
    const g = event.composedPath().find((e) => e.classList?.contains("node"));
    return g ? this.place.get(g.id) ?? -1 : -1;
  }
  listen() {
    const on = (target, name, handler, options) => target.addEventListener(name, handler, options);
    on(this.root, "click", (e) => {
      const name = e.target.closest?.("[data-do]")?.dataset.do;
      if (name) this.act(name);
    });
    on(this.stage, "keydown", (e) => this.key(e));
    on(this.box, "input", () => this.search(this.box.value));
    on(this.box, "keydown", (e) => {
      if (e.key === "Enter") this.nextHit(e.shiftKey ? -1 : 1);
      else if (e.key === "Escape") { this.box.value = ""; this.search(""); this.stage.focus(); }
      else return;
      e.preventDefault();
    });
    on(this.paper, "wheel", (e) => this.wheel(e), { passive: false });
    on(this.paper, "pointerdown", (e) => {
      if (e.button) return;
      this.pointers.set(e.pointerId, [e.clientX, e.clientY]);
      const title = e.target.closest?.(".cluster text");
      this.start = { x: e.clientX, y: e.clientY, moved: false, index: this.under(e), title };
    });
    on(this.paper, "pointermove", (e) => this.drag(e));
    const up = (e) => {
      const isLast = this.pointers.delete(e.pointerId) && !this.pointers.size;
      if (isLast && e.type === "pointerup" && !this.start.moved) this.click();
      this.paper.classList.remove("dragging");
    };
    on(this.paper, "pointerup", up); on(this.paper, "pointercancel", up);
    on(this.paper, "pointerleave", () => this.point(-1));
    on(this.paper, "dblclick", (e) => {
      const v = this.vertices[this.under(e)];
      if (v?.opens) this.toggle(v);
    });
    const jump = (e) => {
      if (!e.buttons) return;
      const { left, top } = this.map.getBoundingClientRect();
      const k = this.mapScale / 2;
      const point = [(e.clientX - left) / k, (e.clientY - top) / k];
      this.moveTo({ point, px: this.room.width / 2, py: this.room.height / 2 });
    };
    on(this.map, "pointerdown", jump); on(this.map, "pointermove", jump);
    this.heard = (e) => { if (e.detail.graph === this.data?.graph) this.paint(e.detail); };
    this.moved = (e) => {
      if (e.detail.from === this || !this.data?.sync || e.detail.group !== this.data.sync) return;
      this.at = { ...e.detail.at };
      this.apply(true);
    };
    this.fitted = ({ detail }) => {
      if (detail.from === this || !this.size || !this.data?.sync || detail.group !== this.data.sync) return;
      const mine = this.fitting(detail.limit);
      if (mine.k < detail.at.k) detail.at = mine;
      detail.widest = Math.max(detail.widest, this.size.width);
    };
    this.called = (e) => {
      const index = e.detail.graph === this.data?.graph ? this.vertices.findIndex((v) => v.key === e.detail.key) : -1;
      if (index < 0) return;
      this.choose(index);
      this.show(index);
      this.root.scrollIntoView({ block: "nearest" });
    };
    on(window, "nasviz:paint", this.heard); on(window, "nasviz:view", this.moved);
    on(window, "nasviz:fit", this.fitted); on(window, "nasviz:choose", this.called);
    this.watch = new ResizeObserver(([{ contentRect }]) => { this.room = contentRect; this.later(); });
    this.watch.observe(this.stage);
  }
  drag(event) {
    const last = this.pointers.get(event.pointerId);
    if (!last) { this.point(this.under(event), event); return; }
    const [dx, dy] = [event.clientX - last[0], event.clientY - last[1]];
    if (!this.start.moved && Math.hypot(event.clientX - this.start.x, event.clientY - this.start.y) < 4) return;
    if (!this.start.moved) {
      this.start.moved = true;
      this.paper.setPointerCapture(event.pointerId);
      this.paper.classList.add("dragging");
      this.point(-1);
    }
    if (this.pointers.size === 2) {
      const [other] = [...this.pointers].filter(([id]) => id !== event.pointerId).map(([, p]) => p);
      const { left, top } = this.stage.getBoundingClientRect();
      const apart = (x, y) => Math.max(1, Math.hypot(x - other[0], y - other[1]));
      this.zoom(apart(event.clientX, event.clientY) / apart(...last), other[0] - left, other[1] - top);
    } else { this.at.x += dx; this.at.y += dy; this.apply(); }
    this.pointers.set(event.pointerId, [event.clientX, event.clientY]);
  }
  click() {
    this.stage.focus({ preventScroll: true });
    const { index, title } = this.start;
    if (index >= 0) { this.choose(index); this.tip.hidden = true; }
    else if (title) this.toggle([...this.clusters.values()].find((c) => c.closes && title.parentNode === c.g));
    else if (this.chosen >= 0) this.choose(-1);
  }

  end() {
    window.removeEventListener("nasviz:paint", this.heard);
    window.removeEventListener("nasviz:view", this.moved);
    window.removeEventListener("nasviz:fit", this.fitted);
    window.removeEventListener("nasviz:choose", this.called);
    this.watch.disconnect();
  }
}

const views = new WeakMap();

export default function ({ data, parentElement, setStateValue, setTriggerValue }) {
  const root = parentElement.querySelector(".nasviz-graph");
  const view = views.get(root) ?? views.set(root, new GraphView(root)).get(root);
  view.send = setStateValue; view.trigger = setTriggerValue;
  root.style.setProperty("--height", data.height + "px");
  const [r, g, b] = (getComputedStyle(root).backgroundColor.match(/[\d.]+/g) ?? [255, 255, 255]).map(Number);
  root.classList.toggle("dark", 0.3 * r + 0.59 * g + 0.11 * b < 110);
  view.room = view.stage.getBoundingClientRect();
  view.readColours();
  if (view.data?.view !== data.view) view.load(data); else view.data = data;
  view.paint(window.nasvizPainted?.[data.graph]);
  return () => { view.end(); views.delete(root); };
}
