// Graph view: pan, zoom, search, keyboard, selection and overlays on an SVG that was laid out on the server.
// Recolouring sets classes only: it neither lays out again nor adds or removes an element.

const ELEMENTS = new Set("svg g path polygon polyline ellipse circle rect line text tspan".split(" "));
const ATTRIBUTES = new Set(("id class transform viewBox width height d points cx cy rx ry r x y x1 y1 x2 y2 fill stroke " +
  "stroke-width stroke-dasharray stroke-linecap fill-opacity stroke-opacity opacity text-anchor font-family " +
  "font-size font-weight font-style").split(" "));
const STATES = "erased dead-end sliced bypassed materialised selected protected".split(" ").map((s) => "s-" + s);
const BINS = Array.from({ length: 9 }, (_, i) => "b" + i);
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

const make = (tag, name, text) => {
  const element = document.createElement(tag);
  if (name) element.className = name;
  if (text !== undefined) element.textContent = text;
  return element;
};
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
// All classes of an element in one go: many small changes to a class list are what costs most in a large graph.
const dress = (item) => item.g.setAttribute("class", `${item.base} ${item.paint} ${item.mark} ${item.hit} ${item.ring}`);
const write = (element, text) => { (element.firstChild ?? element.appendChild(document.createTextNode(""))).data = text; };

function parse(text) {
  const tree = new DOMParser().parseFromString(text, "image/svg+xml");
  const clean = (element) => {
    for (const { name, value } of [...element.attributes])
      if (!ATTRIBUTES.has(name) || value.includes("url(")) element.removeAttribute(name);
    for (const child of [...element.childNodes]) {
      const isText = child.nodeType === 3 && /^(text|tspan)$/.test(element.localName);
      if (child.nodeType === 1 && ELEMENTS.has(child.localName)) clean(child);
      else if (!isText) child.remove();
    }
  };
  if (tree.documentElement.localName !== "svg") return null;
  clean(tree.documentElement);
  return document.importNode(tree.documentElement, true);
}

const HATCH = `<svg xmlns="http://www.w3.org/2000/svg"><defs><pattern id="hatch" width="7" height="7"
  patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect class="paper-of-hatch" width="7" height="7"/>
  <line class="line-of-hatch" y2="7" stroke-width="4"/></pattern></defs></svg>`;

class GraphView {
  constructor(root) {
    this.root = root;
    root.innerHTML = SKELETON;
    const find = (name) => root.querySelector(name);
    [this.stage, this.paper, this.panel, this.tip, this.map, this.box, this.countBox, this.legendBox] =
      [".stage", ".paper", ".panel", ".tip", ".map", "input", ".count", ".legend"].map(find);
    this.at = { x: 0, y: 0, k: 1 };
    this.room = { width: 0, height: 0 };
    this.vertices = []; this.hits = []; this.marked = []; this.pointers = new Map();
    this.chosen = this.pointed = -1;
    this.listen();
  }

  // ---- what is shown -------------------------------------------------------------------------------------
  load(data) {
    const before = this.data;
    const anchor = before && this.anchor;
    this.data = data;
    const svg = parse(data.svg);
    this.paper.replaceChildren();
    if (!svg) return;
    const hatch = new DOMParser().parseFromString(HATCH, "image/svg+xml").documentElement.firstChild;
    svg.prepend(document.importNode(hatch, true));
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
    const { bins = {}, states = {}, notes = {}, scale = "", limits = ["", ""], legend = [], title = "" } = message.overlay ?? {};
    this.root.dataset.scale = scale;
    for (const v of this.vertices) {
      const wanted = `${v.id in bins ? "binned b" + bins[v.id] : ""} ${states[v.id] ?? ""}`;
      v.note = notes[v.id] ?? "";
      if (wanted === v.paint) continue;
      v.paint = wanted;
      dress(v);
    }
    const present = new Set(legend.map(([state]) => state));
    this.data.states.forEach(([state], i) => { this.legendStates[i].hidden = !present.has(state); });
    this.legendScale.hidden = !scale;
    const [name, low, , high] = this.legendScale.children;
    write(name, title); write(low, limits[0]); write(high, limits[1]);
    this.thumb = null;
    this.later();
    if (this.chosen >= 0 && this.noteBox) write(this.noteBox, this.vertices[this.chosen].note);
    if (message.selected !== undefined && message.selected !== this.asked) {
      this.asked = message.selected;
      const index = this.place.get(message.selected) ?? -1;
      if (index !== this.chosen) { this.choose(index, { quiet: true }); this.wanted = this.vertices[index]?.name; if (index >= 0) this.show(index); }
    }
  }

  // ---- view --------------------------------------------------------------------------------------------
  apply(silent) {
    const { x, y, k } = this.at;
    this.layer?.setAttribute("transform", `translate(${x + k * this.shift[0]} ${y + k * this.shift[1]}) scale(${k})`);
    this.root.classList.toggle("far", k < 0.3);
    write(this.root.querySelector(".scale"), Math.round(k * 100) + "%");
    this.later();
    if (!silent && this.data?.sync)
      window.dispatchEvent(new CustomEvent("nasviz:view", { detail: { from: this, group: this.data.sync, at: this.at } }));
  }
  later() {
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this.drawMap());
  }
  zoom(factor, px, py) {
    const { width, height } = this.room;
    const [cx, cy] = [px ?? width / 2, py ?? height / 2];
    const k = clamp(this.at.k * factor, 0.02, 6);
    const f = k / this.at.k;
    this.at = { x: cx - (cx - this.at.x) * f, y: cy - (cy - this.at.y) * f, k };
    this.apply();
  }
  fit(limit = 1.4) {
    const { width, height } = this.room;
    const k = clamp(Math.min((width - 32) / this.size.width, (height - 32) / this.size.height), 0.02, limit);
    this.at = { x: (width - k * this.size.width) / 2, y: (height - k * this.size.height) / 2, k };
    this.apply();
  }
  readable() {
    this.fit(1.15);
    if (this.at.k >= 0.72 || !this.vertices.length) return;
    const first = this.vertices[Math.max(this.chosen, 0)];
    this.at.k = 0.9;
    if (this.chosen >= 0) this.centre(first);
    else this.moveTo({ point: [first.x + first.w / 2, first.y], px: this.room.width / 2, py: 24 });
  }
  moveTo({ point, name, px, py }) {
    const found = this.vertices.find((v) => v.name === name) ?? [...this.clusters.values()].find((c) => c.key === name);
    if (!point && found) {
      const { x, y, width } = found.g.getBBox();
      point = [x + this.shift[0] + width / 2, y + this.shift[1]];
    }
    if (point) { this.at.x = px - point[0] * this.at.k; this.at.y = py - point[1] * this.at.k; }
    this.apply();
  }
  centre(v) {
    const { width, height } = this.room;
    this.moveTo({ point: [v.x + v.w / 2, v.y + v.h / 2], px: (width - (this.panel.hidden ? 0 : 320)) / 2, py: height / 2 });
  }
  show(index) {
    const v = this.vertices[index];
    const { width, height } = this.room;
    const right = width - (this.panel.hidden ? 24 : 330);
    const [x, y] = [this.at.x + v.x * this.at.k, this.at.y + v.y * this.at.k];
    if (x < 24 || y < 24 || x + v.w * this.at.k > right || y + v.h * this.at.k > height - 24) this.centre(v);
  }
  // Colours of the small map: read once a theme, because reading them makes the browser settle all styles.
  readColours() {
    const style = getComputedStyle(this.root);
    const names = ["--map", "--accent", ...STATES.map((s) => "--" + s),
      ...BINS.flatMap((b) => ["--cividis-" + b, "--viridis-" + b])];
    this.colours = Object.fromEntries(names.map((name) => [name, style.getPropertyValue(name)]));
    this.thumb = null;
    this.later();
  }
  drawMap() {
    if (!this.svg) return;
    const { width, height } = this.size;
    const k = Math.min(340 / width, 300 / height);
    const sizes = { width: Math.max(1, Math.round(width * k)), height: Math.max(1, Math.round(height * k)) };
    const context = this.map.getContext("2d");
    if (!this.thumb) {
      this.thumb = Object.assign(document.createElement("canvas"), sizes);
      Object.assign(this.map, sizes);
      Object.assign(this.map.style, { width: sizes.width / 2 + "px", height: sizes.height / 2 + "px" });
      const pen = this.thumb.getContext("2d");
      for (const v of this.vertices) {
        const [, bin, state] = /^(?:binned (b\d))? ?(s-[a-z-]+)?/.exec(v.paint);
        pen.fillStyle = this.colours[state ? "--" + state : bin ? `--${this.root.dataset.scale}-${bin}` : "--map"];
        pen.fillRect(v.x * k, v.y * k, Math.max(v.w * k, 1.5), Math.max(v.h * k, 1.5));
      }
    }
    context.clearRect(0, 0, sizes.width, sizes.height);
    context.drawImage(this.thumb, 0, 0);
    const { width: w, height: h } = this.room;
    context.strokeStyle = this.colours["--accent"];
    context.lineWidth = 3;
    const part = (value, size) => clamp((value / this.at.k) * k, 2, size - 2);
    const [left, top] = [part(-this.at.x, sizes.width), part(-this.at.y, sizes.height)];
    context.strokeRect(left, top, part(w - this.at.x, sizes.width) - left, part(h - this.at.y, sizes.height) - top);
    this.mapScale = k;
    this.map.hidden = width * this.at.k <= w && height * this.at.k <= h;
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
    if (index >= 0) { walk("into", "up"); walk("from", "down"); add(this.vertices[index], "here"); }
    for (const item of new Set([...before, ...this.marked])) dress(item);
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
    write(line, v.fields.filter(([label]) => /Operator|Class|Members|Output|Removal/.test(label)).map((f) => f[1]).join(" · "));
    this.tip.style.transform = `translate(${clamp(event.clientX - left + 14, 8, Math.max(8, width - 330))}px,${event.clientY - top + 18}px)`;
  }
  choose(index, { quiet = false } = {}) {
    const last = this.vertices[this.chosen];
    if (last) { last.ring = ""; dress(last); }
    this.chosen = index;
    const v = this.vertices[index];
    this.stage.toggleAttribute("aria-activedescendant", false);
    if (v) { v.ring = "chosen"; dress(v); this.stage.setAttribute("aria-activedescendant", v.id); }
    write(this.root.querySelector(".said"), v ? v.g.getAttribute("aria-label") : "");
    this.mark(index, false);
    this.drawPanel(v);
    if (quiet) return;
    clearTimeout(this.telling);
    this.telling = setTimeout(() => this.send("selected", (this.wanted = v ? v.name : null)), 120);
  }
  drawPanel(v) {
    this.panel.hidden = !v;
    if (!v) { this.panel.replaceChildren(); return; }
    const head = make("header");
    const button = (text, title, action) => {
      const b = make("button", "", text);
      b.title = title; b.setAttribute("aria-label", title); b.dataset.do = action;
      return b;
    };
    head.append(make("h3", "", v.title), button("Copy", "Copy name", "copy"), button("✕", "Close", "drop"));
    const list = make("dl");
    for (const [label, text] of v.fields) list.append(make("dt", "", label), make("dd", label === "Removal" ? (text.startsWith("stays") ? "stays" : "goes") : "", text));
    this.noteBox = make("p", "note");
    write(this.noteBox, v.note ?? "");
    const doors = make("div", "doors");
    if (v.opens) doors.append(button("Open module", "Open this module (Enter)", "open"));
    if (this.clusters.get(v.in)?.closes) doors.append(button("Close " + this.clusters.get(v.in).title, "Close the module around it (Shift+Enter)", "close"));
    this.panel.replaceChildren(head, this.noteBox, list, doors);
  }
  toggle(item) {
    if (!item) return;
    const box = item.g.getBoundingClientRect(), stage = this.stage.getBoundingClientRect();
    this.anchor = { name: item.key, px: box.left + box.width / 2 - stage.left, py: box.top - stage.top };
    clearTimeout(this.telling); // what is opened goes away: one run of the script is enough
    this.trigger("toggled", { id: item.id, once: `${performance.timeOrigin + performance.now()}` });
  }
  step(links, v) {
    const next = v[links].map(([i]) => i);
    const middle = v.x + v.w / 2;
    return next.sort((a, b) => Math.abs(this.vertices[a].x + this.vertices[a].w / 2 - middle) - Math.abs(this.vertices[b].x + this.vertices[b].w / 2 - middle))[0];
  }
  beside(v, sign) {
    let best, least = Infinity;
    this.vertices.forEach((other, i) => {
      const dx = (other.x + other.w / 2 - v.x - v.w / 2) * sign, dy = Math.abs(other.y + other.h / 2 - v.y - v.h / 2);
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
    if (pattern) this.vertices.forEach((v, i) => { if (pattern.test(v.search)) { this.hits.push(i); v.hit = "hit"; dress(v); } });
    this.root.classList.toggle("searching", this.hits.length > 0);
    write(this.countBox, !text ? "" : this.box.validity.customError ? "not a regular expression" : `${this.hits.length} found`);
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
      drop: () => { this.choose(-1); this.stage.focus(); }, copy: () => navigator.clipboard?.writeText(v.title),
      open: () => this.toggle(v), close: () => this.toggle(this.clusters.get(v.in)),
      svg: () => this.save("svg", "image/svg+xml", this.picture()), dot: () => this.save("dot", "text/vnd.graphviz", this.data.dot),
      png: () => this.savePng(),
    };
    acts[name]?.();
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
    on(this.paper, "wheel", (e) => {
      e.preventDefault();
      const { left, top } = this.stage.getBoundingClientRect();
      this.zoom(Math.exp(-clamp(e.deltaY * (e.deltaMode ? 18 : 1), -240, 240) * 0.0022), e.clientX - left, e.clientY - top);
    }, { passive: false });
    on(this.paper, "pointerdown", (e) => {
      if (e.button) return;
      this.pointers.set(e.pointerId, [e.clientX, e.clientY]);
      this.start = { x: e.clientX, y: e.clientY, moved: false, index: this.under(e), title: e.target.closest?.(".cluster text") };
    });
    on(this.paper, "pointermove", (e) => this.drag(e));
    const up = (e) => {
      if (this.pointers.delete(e.pointerId) && e.type === "pointerup" && !this.start.moved && !this.pointers.size) this.click();
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
      this.moveTo({ point: [(e.clientX - left) / k, (e.clientY - top) / k], px: this.room.width / 2, py: this.room.height / 2 });
    };
    on(this.map, "pointerdown", jump); on(this.map, "pointermove", jump);
    this.heard = (e) => { if (e.detail.graph === this.data?.graph) this.paint(e.detail); };
    this.moved = (e) => {
      if (e.detail.from === this || !this.data?.sync || e.detail.group !== this.data.sync) return;
      this.at = { ...e.detail.at };
      this.apply(true);
    };
    on(window, "nasviz:paint", this.heard); on(window, "nasviz:view", this.moved);
    this.watch = new ResizeObserver(([{ contentRect }]) => { this.room = contentRect; this.later(); });
    this.watch.observe(this.stage);
  }
  drag(event) {
    const last = this.pointers.get(event.pointerId);
    if (!last) { this.point(this.under(event), event); return; }
    const [dx, dy] = [event.clientX - last[0], event.clientY - last[1]];
    if (!this.start.moved && Math.hypot(event.clientX - this.start.x, event.clientY - this.start.y) < 4) return;
    if (!this.start.moved) { this.start.moved = true; this.paper.setPointerCapture(event.pointerId); this.paper.classList.add("dragging"); this.point(-1); }
    if (this.pointers.size === 2) {
      const [other] = [...this.pointers].filter(([id]) => id !== event.pointerId).map(([, p]) => p);
      const { left, top } = this.stage.getBoundingClientRect();
      const factor = Math.hypot(event.clientX - other[0], event.clientY - other[1]) / Math.max(1, Math.hypot(last[0] - other[0], last[1] - other[1]));
      this.zoom(factor, other[0] - left, other[1] - top);
    } else { this.at.x += dx; this.at.y += dy; this.apply(); }
    this.pointers.set(event.pointerId, [event.clientX, event.clientY]);
  }
  click() {
    this.stage.focus({ preventScroll: true });
    const { index, title } = this.start;
    if (index >= 0) { this.choose(index); this.tip.hidden = true; }
    else if (title) this.toggle([...this.clusters.values()].find((c) => c.closes && c.g.contains(title) && title.parentNode === c.g));
    else if (this.chosen >= 0) this.choose(-1);
  }

  // ---- saving -------------------------------------------------------------------------------------------
  picture() {
    const copy = this.svg.cloneNode(true);
    const look = ["fill", "stroke", "stroke-width", "stroke-dasharray", "opacity", "font-family", "font-size", "font-weight", "text-decoration"];
    const from = this.svg.querySelectorAll("path,polygon,ellipse,text,rect,line");
    copy.querySelectorAll("path,polygon,ellipse,text,rect,line").forEach((element, i) => {
      const style = getComputedStyle(from[i]);
      for (const name of look) element.setAttribute(name, style.getPropertyValue(name).replace(/url\("?[^#)]*#/, "url(#").replace('")', ")"));
    });
    copy.querySelector(".graph").setAttribute("transform", `translate(${this.shift.join(" ")})`);
    for (const [name, value] of Object.entries({ viewBox: `0 0 ${this.size.width} ${this.size.height}`, ...this.size })) copy.setAttribute(name, value);
    copy.style.background = getComputedStyle(this.root).backgroundColor;
    return new XMLSerializer().serializeToString(copy);
  }
  save(ending, type, content) {
    const link = make("a");
    link.href = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
    link.download = `${this.data.title.replace(/[^\w.-]+/g, "_")}.${ending}`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    this.root.querySelector(".menu").open = false;
  }
  savePng() {
    const picture = new Image();
    picture.onload = () => {
      const k = Math.min(2, 8000 / Math.max(this.size.width, this.size.height));
      const canvas = Object.assign(document.createElement("canvas"), { width: this.size.width * k, height: this.size.height * k });
      const context = canvas.getContext("2d");
      context.fillStyle = getComputedStyle(this.root).backgroundColor;
      context.fillRect(0, 0, canvas.width, canvas.height);
      context.drawImage(picture, 0, 0, canvas.width, canvas.height);
      canvas.toBlob((blob) => this.save("png", "image/png", blob));
    };
    picture.src = URL.createObjectURL(new Blob([this.picture()], { type: "image/svg+xml" }));
  }
  end() {
    window.removeEventListener("nasviz:paint", this.heard);
    window.removeEventListener("nasviz:view", this.moved);
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
