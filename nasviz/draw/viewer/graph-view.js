// Graph view: pan, zoom, search, keyboard, selection and overlays on an SVG that was laid out on the server.
// An overlay sets classes only: it neither lays out again nor adds or removes an element.

import { Camera } from "./camera.js";
import { applyClasses, BINS, paintClasses } from "./classes.js";
import { find, makeElement, pageTop, setText } from "./dom.js";
import { commandOf, stepAlong, stepSideways } from "./keyboard.js";
import { PAINT, SELECT } from "./messages.js";
import { Minimap, pointOnMap } from "./minimap.js";
import { clamp } from "./numbers.js";
import { unpackOverlay } from "./packed.js";
import { Panel } from "./panel.js";
import { parseSvg } from "./sanitize.js";
import { save } from "./save.js";
import { findMatches, nextPosition } from "./search.js";
import { reach } from "./selection.js";
import { isVisible, middle, readableScale, wayInto } from "./viewport.js";

/**
 * @typedef {import("./types.d.ts").Vertex} Vertex
 * @typedef {import("./types.d.ts").Styled} Styled
 * @typedef {import("./types.d.ts").Cluster} Cluster
 * @typedef {import("./types.d.ts").GraphData} GraphData
 * @typedef {import("./types.d.ts").PaintMessage} PaintMessage
 */

const SKELETON = `
<div class="bar" role="toolbar" aria-label="Graph">
  <label class="find"><span aria-hidden="true">⌕</span><input type="search" placeholder="Search (regex)"
    aria-label="Search vertices by regular expression; Enter goes to the next" spellcheck="false"></label>
  <output class="count" aria-live="polite"></output><span class="gap"></span>
  <button data-do="out" title="Zoom out (-)" aria-label="Zoom out">−</button>
  <button data-do="one" class="scale" title="Readable size (0)" aria-label="Readable size">100%</button>
  <button data-do="in" title="Zoom in (+)" aria-label="Zoom in">+</button>
  <button data-do="fit" title="Fit to the window (f)" >Fit</button>
  <button data-do="full" title="Full screen" aria-label="Full screen"><svg viewBox="0 0 14 14"
    width="14" height="14" aria-hidden="true"><path d="M1 5V1h4M9 1h4v4M13 9v4H9M5 13H1V9"/></svg></button>
  <details class="menu"><summary title="Save what is seen" >Save</summary>
    <div><button data-do="svg">SVG</button><button data-do="png">PNG</button><button data-do="dot">DOT</button></div>
  </details>
</div>
<div class="work">
  <div class="stage" tabindex="0" role="application" aria-roledescription="graph">
    <div class="paper"></div>
    <canvas class="map" aria-hidden="true"></canvas>
    <div class="tip" role="tooltip" hidden><b> </b><span> </span><i> </i></div>
    <div class="said" aria-live="polite"></div>
  </div>
  <aside class="panel" hidden aria-label="Selected vertex"></aside>
</div>
<div class="legend" role="group" aria-label="Legend"></div>`;
/** Above this many vertices colours change without a transition: fading thousands of fills takes too long. */
const LARGE = 400;
/** Pixels a pointer may move and still click. */
const CLICK = 4;
const IN_TIP = /Operator|Class|Members|Output|Removal/;

/** Return a word that no other message has: a script that is interrupted sees its messages twice. */
const uniqueTime = () => `${performance.timeOrigin + performance.now()}`;

/** @returns {Pick<Styled, "paint" | "mark" | "hit" | "ring">} */
const plain = () => ({ paint: "", mark: "", hit: "", ring: "" });

class GraphView {
  /** @type {GraphData | null} */
  data = null;
  /** @type {Vertex[]} */
  vertices = [];
  /** @type {Styled[]} */
  edges = [];
  /** @type {Map<string, Cluster>} */
  clusters = new Map();
  /** @type {string[]} Ids of the vertices, in their order. */
  ids = [];
  /** @type {Map<string, number>} Position of each vertex by id. */
  place = new Map();
  /** @type {SVGSVGElement | null} */
  svg = null;
  /** @type {Set<Styled>} Vertices and edges with a mark. */
  marked = new Set();
  /** @type {number[]} */
  hits = [];
  hit = -1;
  selected = -1;
  pointed = -1;
  /** @type {string | null} Name of the vertex that was selected, for the next drawing. */
  wanted = null;
  /** @type {string | null | undefined} What Python asked to select last. */
  asked;
  /** @type {PaintMessage | undefined} */
  painted;
  /** @type {{ name: string, px: number, py: number } | null} What stays in place when a module is opened. */
  anchor = null;
  /** @type {Map<number, import("./types.d.ts").Point>} Pointers that are down. */
  pointers = new Map();
  start = { x: 0, y: 0, hasMoved: false, index: -1, title: /** @type {Element | null} */ (null) };
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  hoverTimer;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  sendTimer;
  frame = 0;
  /** @type {Element[]} */
  legendStates = [];
  legendScale = makeElement("div", "row scale-row");

  /**
   * @param {HTMLElement} root
   * @param {import("./types.d.ts").Mount<GraphData>["setStateValue"]} setState
   * @param {import("./types.d.ts").Mount<GraphData>["setTriggerValue"]} trigger
   */
  constructor(root, setState, trigger) {
    this.root = root;
    this.setState = setState;
    this.trigger = trigger;
    root.innerHTML = SKELETON;
    this.stage = find(root, ".stage");
    this.paper = find(root, ".paper");
    this.tip = find(root, ".tip");
    this.box = /** @type {HTMLInputElement} */ (find(root, "input"));
    this.countBox = find(root, ".count");
    this.legendBox = find(root, ".legend");
    this.said = find(root, ".said");
    this.panel = new Panel(find(root, ".panel"));
    this.map = new Minimap(/** @type {HTMLCanvasElement} */ (find(root, ".map")), root);
    this.camera = new Camera(root, this.stage, find(root, ".scale"), () => this.drawMapLater());
    this.onPaint = (/** @type {Event} */ event) => {
      const { detail } = /** @type {CustomEvent<PaintMessage>} */ (event);
      if (detail.graph === this.data?.graph) this.paint(detail);
    };
    this.onSelect = (/** @type {Event} */ event) => {
      const { graph, key } = /** @type {CustomEvent<{ graph: string, key: string }>} */ (event).detail;
      const index = graph === this.data?.graph ? this.vertices.findIndex((v) => v.key === key) : -1;
      if (index < 0) return;
      this.select(index);
      this.show(index);
      this.root.scrollIntoView({ block: "nearest" });
    };
    this.onResize = () => this.fill();
    this.resizing = new ResizeObserver(() => this.measure());
    this.listen();
  }

  // ---- size -------------------------------------------------------------------------------------------------

  /** Reach down to the lower edge of the window if no height is asked for. */
  fill() {
    const { height = 0 } = this.data ?? {};
    this.root.classList.toggle("fills", !height);
    if (height) this.root.style.setProperty("--height", `${height}px`);
    else this.root.style.setProperty("--top", `${Math.round(pageTop(this.root))}px`);
  }

  /**
   * Follow the size of the stage. The view is fitted again unless a person has moved it; then its middle stays.
   * @param {boolean} keeps Whether the drawing stays where it is, as where the panel opens.
   */
  measure(keeps = false) {
    const { width, height } = this.stage.getBoundingClientRect();
    const { room } = this.camera;
    if (!width || !height || (width === room.width && height === room.height)) return;
    const [dx, dy] = [(width - room.width) / 2, (height - room.height) / 2];
    this.camera.room = { width, height };
    if (keeps) this.drawMapLater();
    else if (this.camera.isMoved && room.width) this.camera.pan(dx, dy);
    else this.fitReadable();
  }

  // ---- the drawing ----------------------------------------------------------------------------------------

  /** @param {GraphData} data */
  load(data) {
    const before = this.data;
    const anchor = before && this.anchor;
    this.data = data;
    this.camera.sync = data.sync ?? "";
    this.fill();
    this.camera.room = this.stage.getBoundingClientRect();
    const svg = parseSvg(data.svg);
    const layer = svg?.querySelector(".graph");
    this.paper.replaceChildren();
    if (!svg || !layer) return;
    const [width, height] = (svg.getAttribute("viewBox") || "0 0 1 1").split(/[ ,]+/).slice(2).map(Number);
    for (const name of ["viewBox", "width", "height"]) svg.removeAttribute(name);
    this.paper.append(svg);
    this.svg = svg;
    const shift = /translate\(([-\d.]+)[ ,]+([-\d.]+)\)/.exec(layer.getAttribute("transform") || "");
    Object.assign(this.camera, {
      size: { width, height },
      layer,
      shift: shift ? [+shift[1], +shift[2]] : [0, 0],
    });
    this.readElements(data, svg);
    this.root.classList.toggle("large", this.vertices.length > LARGE);
    this.marked = new Set();
    this.pointed = this.selected = -1;
    const keys =
      "Arrow keys follow the edges, Enter opens a module, Shift and Enter closes it, slash searches, f fits, " +
      "Escape lets go.";
    this.stage.setAttribute("aria-label", `${data.title}, ${this.vertices.length} vertices. ${keys}`);
    this.drawLegend(data);
    this.search(this.box.value);
    this.select(
      this.vertices.findIndex((v) => v.name === this.wanted),
      { isQuiet: true },
    );
    if (anchor) this.moveTo(anchor);
    else if (!before) this.fitReadable();
    else this.camera.apply();
    this.anchor = null;
    this.paint(this.painted);
  }

  /**
   * @param {GraphData} data
   * @param {SVGSVGElement} svg
   */
  readElements(data, svg) {
    /** @type {Map<string, SVGGElement>} */
    const byId = new Map([...svg.querySelectorAll("g")].map((g) => [g.id, g]));
    const element = (/** @type {string} */ id) => {
      const g = byId.get(id);
      if (!g) throw new Error(`the drawing has no element ${id}`);
      return g;
    };
    const [dx, dy] = this.camera.shift;
    this.vertices = data.vertices.map((v) => {
      const g = element(v.id);
      const { x, y, width: w, height: h } = g.getBBox();
      g.setAttribute("role", "img");
      g.setAttribute("aria-label", [v.title, ...v.fields.slice(0, 2).map((f) => f.join(" "))].join(", "));
      const links = { into: [], from: [] };
      const shape = { g, x: x + dx, y: y + dy, w, h, base: g.getAttribute("class") ?? "" };
      return { ...v, ...plain(), ...links, ...shape, name: `${v.kind} ${v.key}`, note: "" };
    });
    this.ids = this.vertices.map((v) => v.id);
    this.place = new Map(this.ids.map((id, i) => [id, i]));
    this.clusters = new Map(data.clusters.map((c) => [c.id, { ...c, g: element(c.id) }]));
    this.edges = data.edges.map(([source, target], i) => {
      this.vertices[source].from.push([target, i]);
      this.vertices[target].into.push([source, i]);
      const g = element(`e${i}`);
      return { g, base: g.getAttribute("class") ?? "", ...plain() };
    });
  }

  /** @param {GraphData} data */
  drawLegend({ legend, states }) {
    const row = (/** @type {string} */ name, /** @type {string} */ text, /** @type {string} */ kind) => {
      const item = makeElement("div", `row ${kind}`);
      item.append(makeElement("span", `key ${name}`), makeElement("span", "", text));
      return item;
    };
    const roles = legend.map(([role, text]) => row(`f-${role}`, text, "role"));
    const stateRows = states.map(([state, text]) => row(`s-${state}`, text, "state"));
    const scale = makeElement("div", "row scale-row");
    const ramp = makeElement("span", "ramp");
    ramp.append(...BINS.map((bin) => makeElement("i", bin)));
    scale.append(
      makeElement("b", "", " "),
      makeElement("span", "low", " "),
      ramp,
      makeElement("span", "high", " "),
    );
    this.legendBox.replaceChildren(...roles, ...stateRows, scale);
    this.legendStates = stateRows;
    this.legendScale = scale;
    for (const item of [...stateRows, scale]) item.hidden = true;
  }

  drawMapLater() {
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => {
      const { size, at, room } = this.camera;
      if (size) this.map.draw(this.vertices, size, at, room);
    });
  }

  // ---- overlays: classes, attributes and text data only -----------------------------------------------------

  /** @param {PaintMessage | undefined} message */
  paint(message) {
    if (!message || !this.data || message.view !== this.data.view) return;
    this.painted = message;
    const overlay = message.overlay ? unpackOverlay(message.overlay, this.ids) : {};
    const {
      bins = {},
      states = {},
      notes = {},
      scale = "",
      limits = ["", ""],
      legend = [],
      title = "",
    } = /** @type {Partial<import("./types.d.ts").Overlay>} */ (overlay);
    if (this.root.dataset.scale !== scale) this.root.dataset.scale = scale;
    for (const v of this.vertices) {
      const paint = paintClasses(bins[v.id], states[v.id]);
      v.note = notes[v.id] ?? "";
      if (paint === v.paint) continue;
      v.paint = paint;
      applyClasses(v);
    }
    const present = new Set(legend.map(([state]) => state));
    this.data.states.forEach(([state], i) => {
      this.legendStates[i].toggleAttribute("hidden", !present.has(state));
    });
    this.legendScale.hidden = !scale;
    const [name, low, , high] = this.legendScale.children;
    setText(name, title);
    setText(low, limits[0]);
    setText(high, limits[1]);
    this.map.picture = null;
    this.drawMapLater();
    if (this.selected >= 0) this.panel.setNote(this.vertices[this.selected].note);
    this.panel.drawAbout(message.about ?? []);
    this.selectAsked(message.selected);
  }

  /**
   * Select what Python asks for when it changes; a person's selection stays where nothing is asked for.
   * @param {string | null | undefined} id
   */
  selectAsked(id) {
    if (id === undefined || id === this.asked) return;
    this.asked = id;
    const index = (id === null ? undefined : this.place.get(id)) ?? -1;
    if (index < 0 || index === this.selected) return;
    this.select(index, { isQuiet: true });
    this.wanted = this.vertices[index].name;
    if (!isVisible(this.camera.at, this.vertices[index], this.camera.room)) this.centreReadably(index);
  }

  // ---- selection --------------------------------------------------------------------------------------------

  /**
   * Mark what leads to a vertex and what depends on it.
   * @param {number} index -1 marks nothing.
   * @param {boolean} fade Whether everything else fades.
   */
  mark(index, fade) {
    const before = this.marked;
    this.marked = new Set();
    for (const item of before) item.mark = "";
    this.root.classList.toggle("fade", fade && index >= 0);
    const add = (/** @type {Styled} */ item, /** @type {string} */ name) => {
      item.mark = name;
      this.marked.add(item);
    };
    const counts = { up: 0, down: 0 };
    if (index >= 0) {
      for (const [links, name] of /** @type {const} */ ([
        ["into", "up"],
        ["from", "down"],
      ])) {
        const reached = reach(this.vertices, index, links);
        for (const i of reached.edges) add(this.edges[i], name);
        for (const i of reached.vertices) add(this.vertices[i], name);
        counts[name] = reached.vertices.size;
      }
      add(this.vertices[index], "here");
    }
    for (const item of new Set([...before, ...this.marked])) applyClasses(item);
    return counts;
  }

  /**
   * Show a tip for the vertex under the pointer and, a moment later, mark what belongs to it.
   * @param {number} index
   * @param {PointerEvent} [event]
   */
  point(index, event) {
    if (index !== this.pointed) {
      this.pointed = index;
      clearTimeout(this.hoverTimer);
      const mark = () => this.mark(index >= 0 ? index : this.selected, index >= 0);
      this.hoverTimer = setTimeout(mark, index >= 0 ? 90 : 40);
    }
    this.tip.hidden = index < 0;
    if (index < 0 || !event) return;
    const v = this.vertices[index];
    const { left, top, width } = this.stage.getBoundingClientRect();
    const [name, line, note] = this.tip.children;
    setText(name, v.title);
    setText(note, v.note);
    const facts = v.fields.filter(([label]) => IN_TIP.test(label));
    setText(line, facts.map(([, text]) => text).join(" · "));
    const x = clamp(event.clientX - left + 14, 8, Math.max(8, width - 330));
    this.tip.style.transform = `translate(${x}px,${event.clientY - top + 18}px)`;
  }

  /** @param {number} index -1 selects nothing. */
  select(index, { isQuiet = false } = {}) {
    const last = this.vertices[this.selected];
    if (last) {
      last.ring = "";
      applyClasses(last);
    }
    this.selected = index;
    const v = this.vertices[index];
    if (v) {
      v.ring = "chosen";
      applyClasses(v);
      this.stage.setAttribute("aria-activedescendant", v.id);
    } else this.stage.removeAttribute("aria-activedescendant");
    setText(this.said, v?.g.getAttribute("aria-label") ?? "");
    const counts = this.mark(index, false);
    this.panel.draw(v, this.clusterOf(v), counts);
    this.measure(true); // the panel takes room from the stage
    if (isQuiet) return;
    clearTimeout(this.sendTimer);
    this.sendTimer = setTimeout(() => {
      this.wanted = v ? v.name : null;
      this.setState("selected", this.wanted);
    }, 120);
  }

  /** @param {Vertex | undefined} v */
  clusterOf(v) {
    return v?.in ? this.clusters.get(v.in) : undefined;
  }

  /**
   * Open or close a module: Python sends another drawing, in which its place on screen stays the same.
   * @param {Vertex | Cluster | undefined} item
   */
  toggle(item) {
    if (!item) return;
    const box = item.g.getBoundingClientRect();
    const stage = this.stage.getBoundingClientRect();
    this.anchor = { name: item.key, px: box.left + box.width / 2 - stage.left, py: box.top - stage.top };
    clearTimeout(this.sendTimer); // what is opened goes away: one run of the script is enough
    this.trigger("toggled", { id: item.id, once: uniqueTime() });
  }

  /** @param {string} text */
  search(text) {
    for (const i of this.hits) this.setHit(i, "");
    const { hits, isValid } = findMatches(this.vertices, text);
    this.hits = hits;
    this.hit = -1;
    for (const i of hits) this.setHit(i, "hit");
    this.box.setCustomValidity(isValid ? "" : "not a regular expression");
    this.root.classList.toggle("searching", hits.length > 0);
    setText(this.countBox, !text ? "" : isValid ? `${hits.length} found` : "not a regular expression");
  }

  /**
   * @param {number} index
   * @param {string} hit
   */
  setHit(index, hit) {
    const v = this.vertices[index];
    if (!v) return; // of the drawing before this one
    v.hit = hit;
    applyClasses(v);
  }

  /** @param {1 | -1} step */
  selectHit(step) {
    if (!this.hits.length) return;
    this.hit = nextPosition(this.hit, step, this.hits.length);
    this.select(this.hits[this.hit]);
    this.centreReadably(this.selected);
    setText(this.countBox, `${this.hit + 1} of ${this.hits.length}`);
  }

  // ---- where one looks --------------------------------------------------------------------------------------

  fitReadable() {
    const v = this.vertices[this.selected];
    if (this.camera.fitReadable(v ?? this.vertices[0]) && v) this.centre(v);
    this.camera.isMoved = false;
  }

  /** @param {Vertex} v */
  centre(v) {
    const { width, height } = this.camera.room;
    this.camera.place(middle(v), width / 2, height / 2);
  }

  /**
   * Centre a vertex at a scale at which its label can be read.
   * @param {number} index
   */
  centreReadably(index) {
    const { at, room } = this.camera;
    this.camera.at = { ...at, k: Math.max(at.k, readableScale(room.width)) };
    this.centre(this.vertices[index]);
  }

  /**
   * Move as little as shows the whole vertex.
   * @param {number} index
   */
  show(index) {
    const v = this.vertices[index];
    const { at, room } = this.camera;
    if (isVisible(at, v, room)) return;
    const [dx, dy] = wayInto(at, v, room);
    this.camera.pan(dx, dy);
  }

  /** @param {{ name: string, px: number, py: number }} anchor */
  moveTo({ name, px, py }) {
    const vertex = this.vertices.find((v) => v.key === name && v.opens);
    const cluster = [...this.clusters.values()].find((c) => c.key === name && c.closes);
    const found = vertex ?? cluster;
    if (!found) {
      this.camera.apply();
      return;
    }
    const { x, y, width } = found.g.getBBox();
    const [dx, dy] = this.camera.shift;
    this.camera.place([x + dx + width / 2, y + dy], px, py);
  }

  // ---- keys and pointers ------------------------------------------------------------------------------------

  /** @param {KeyboardEvent} event */
  key(event) {
    const command = event.target === this.stage ? commandOf(event) : null;
    if (!command) return;
    event.preventDefault();
    event.stopPropagation();
    this.run(command);
  }

  /**
   * Run the command of a key or of a button.
   * @param {string} command
   */
  run(command) {
    const at = this.selected;
    const v = this.vertices[at];
    const isFull = this.root.matches(":fullscreen");
    const go = (/** @type {number | undefined} */ index) => {
      if (index === undefined) return;
      this.select(index);
      this.show(index);
    };
    /** @type {Record<string, () => void>} */
    const commands = {
      in: () => this.camera.zoom(1.25),
      out: () => this.camera.zoom(0.8),
      one: () => this.fitReadable(),
      fit: () => this.camera.fit(),
      search: () => this.box.focus(),
      drop: () => this.select(-1),
      down: () => go(v ? stepAlong(this.vertices, at, "from") : 0),
      up: () => go(v ? stepAlong(this.vertices, at, "into") : 0),
      left: () => go(v ? stepSideways(this.vertices, at, -1) : 0),
      right: () => go(v ? stepSideways(this.vertices, at, 1) : 0),
      first: () => go(0),
      last: () => go(this.vertices.length - 1),
      open: () => this.toggle(v?.opens ? v : undefined),
      close: () => this.toggle(this.clusterOf(v)),
      copy: () => void this.panel.copy(v.title, command),
      link: () => void this.panel.copy(this.panel.address(), command),
      protect: () => this.trigger("protected", { id: v.id, once: uniqueTime() }),
      erase: () => this.trigger("erased", { id: v.id, once: uniqueTime() }),
      full: () => void (isFull ? document.exitFullscreen() : this.root.requestFullscreen()),
      svg: () => this.save(command),
      png: () => this.save(command),
      dot: () => this.save(command),
    };
    commands[command]?.();
  }

  /** @param {string} ending */
  save(ending) {
    const { svg, data, root } = this;
    const { size, shift } = this.camera;
    if (svg && data && size) save({ svg, data, root, size, shift }, ending);
    /** @type {HTMLDetailsElement} */ (find(root, ".menu")).open = false;
  }

  /**
   * Return the position of the vertex under the pointer, -1 where there is none.
   * @param {Event} event
   */
  under(event) {
    const g = event.composedPath().find((e) => e instanceof Element && e.classList.contains("node"));
    return g instanceof Element ? (this.place.get(g.id) ?? -1) : -1;
  }

  listen() {
    const { root, stage, box, paper } = this;
    root.addEventListener("click", (event) => {
      const button = event.target instanceof Element ? event.target.closest("[data-do]") : null;
      if (!(button instanceof HTMLElement) || !button.dataset.do) return;
      this.run(button.dataset.do);
      if (button.dataset.do === "drop") stage.focus(); // the button is gone
    });
    stage.addEventListener("keydown", (event) => this.key(event));
    this.panel.element.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      this.run("drop");
      stage.focus();
    });
    box.addEventListener("input", () => this.search(box.value));
    box.addEventListener("keydown", (event) => this.keyInSearch(event));
    paper.addEventListener("wheel", (event) => this.camera.wheel(event), { passive: false });
    paper.addEventListener("pointerdown", (event) => this.press(event));
    paper.addEventListener("pointermove", (event) => this.drag(event));
    paper.addEventListener("pointerup", (event) => this.release(event));
    paper.addEventListener("pointercancel", (event) => this.release(event));
    paper.addEventListener("pointerleave", () => this.point(-1));
    paper.addEventListener("dblclick", (event) => {
      const v = this.vertices[this.under(event)];
      if (v?.opens) this.toggle(v);
    });
    for (const name of /** @type {const} */ (["pointerdown", "pointermove"])) {
      this.map.canvas.addEventListener(name, (event) => this.jump(event));
    }
    window.addEventListener(PAINT, this.onPaint);
    window.addEventListener(SELECT, this.onSelect);
    window.addEventListener("resize", this.onResize);
    this.resizing.observe(stage);
  }

  /** @param {KeyboardEvent} event */
  keyInSearch(event) {
    if (event.key === "Enter") this.selectHit(event.shiftKey ? -1 : 1);
    else if (event.key === "Escape") {
      this.box.value = "";
      this.search("");
      this.stage.focus();
    } else return;
    event.preventDefault();
  }

  /**
   * Move to the point of the map under the pointer.
   * @param {PointerEvent} event
   */
  jump(event) {
    if (!event.buttons) return;
    const { left, top } = this.map.canvas.getBoundingClientRect();
    const { width, height } = this.camera.room;
    const point = pointOnMap(event.clientX - left, event.clientY - top, this.map.scale);
    this.camera.place(point, width / 2, height / 2);
  }

  /** @param {PointerEvent} event */
  press(event) {
    if (event.button) return;
    this.pointers.set(event.pointerId, [event.clientX, event.clientY]);
    const title = event.target instanceof Element ? event.target.closest(".cluster text") : null;
    this.start = { x: event.clientX, y: event.clientY, hasMoved: false, index: this.under(event), title };
  }

  /** @param {PointerEvent} event */
  release(event) {
    const isLast = this.pointers.delete(event.pointerId) && !this.pointers.size;
    if (isLast && event.type === "pointerup" && !this.start.hasMoved) this.click();
    this.paper.classList.remove("dragging");
  }

  /**
   * Pan with one pointer, pinch with two, point with none.
   * @param {PointerEvent} event
   */
  drag(event) {
    const { clientX: x, clientY: y, pointerId } = event;
    const last = this.pointers.get(pointerId);
    if (!last) {
      this.point(this.under(event), event);
      return;
    }
    if (!this.start.hasMoved) {
      if (Math.hypot(x - this.start.x, y - this.start.y) < CLICK) return;
      this.start.hasMoved = true;
      this.paper.setPointerCapture(pointerId);
      this.paper.classList.add("dragging");
      this.point(-1);
    }
    const other = [...this.pointers].find(([id]) => id !== pointerId)?.[1];
    if (this.pointers.size === 2 && other) {
      const { left, top } = this.stage.getBoundingClientRect();
      const apart = (/** @type {number} */ px, /** @type {number} */ py) =>
        Math.max(1, Math.hypot(px - other[0], py - other[1]));
      this.camera.zoom(apart(x, y) / apart(...last), other[0] - left, other[1] - top);
    } else this.camera.pan(x - last[0], y - last[1]);
    this.pointers.set(pointerId, [x, y]);
  }

  click() {
    this.stage.focus({ preventScroll: true });
    const { index, title } = this.start;
    if (index >= 0) {
      this.select(index);
      this.show(index);
      this.tip.hidden = true;
    } else if (title)
      this.toggle([...this.clusters.values()].find((c) => c.closes && title.parentNode === c.g));
    else if (this.selected >= 0) this.select(-1);
  }

  end() {
    window.removeEventListener(PAINT, this.onPaint);
    window.removeEventListener(SELECT, this.onSelect);
    window.removeEventListener("resize", this.onResize);
    this.camera.end();
    this.resizing.disconnect();
  }
}

export { GraphView };
