// Live view: phases, curves and a heat map on canvases of its own, so that a refresh is one drawing and no
// element of the page is replaced.

import { lastStep } from "./chart-scales.js";
import { drawCurve } from "./curve-chart.js";
import { find, makeElement, setText } from "./dom.js";
import { HeatMap } from "./heat-map.js";
import { Theme } from "./live-canvas.js";
import { SELECT, send } from "./messages.js";
import { unpackBins, unpackFloats, unpackInts } from "./packed.js";
import { drawPhases } from "./phase-bar.js";

/**
 * @typedef {import("./types.d.ts").Frame} Frame
 * @typedef {import("./types.d.ts").Curve} Curve
 * @typedef {import("./types.d.ts").Structure} Structure
 */

const SKELETON = `
<div class="banner"><b class="chip"></b><span class="said" aria-live="polite"></span><span class="facts"></span></div>
<canvas class="phases" role="img" aria-label="Phases of the run"></canvas>
<div class="curves"></div>
<div class="heat"><canvas role="img"></canvas><div class="tip" hidden><b> </b><span> </span></div></div>
<ol class="events" aria-label="Events" tabindex="0"></ol>`;
/** @type {Record<string, string>} */
const STATES = { a: "alive", s: "selected", o: "orphaned", z: "zero" };

/**
 * Return the curves of a frame with their numbers decoded.
 * @param {Frame} frame
 * @returns {Curve[]}
 */
const readCurves = ({ curves }) =>
  curves.map(({ points: [steps, values], ...curve }) => {
    const heights = unpackFloats(values);
    return { ...curve, points: unpackInts(steps).map((step, i) => [step, heights[i]]) };
  });

/**
 * Return the structures of a frame; those that have no row yet are called by their position.
 * @param {Frame} frame
 * @param {[id: number, name: string][]} rows Ids and names, which are sent once.
 * @returns {Structure[]}
 */
const readStructures = ({ states, scores }, rows) => {
  const values = unpackFloats(scores);
  return [...states].map((letter, i) => {
    const [id, name] = rows[i] ?? [i, ""];
    return { id, name, state: STATES[letter], score: Number.isNaN(values[i]) ? null : values[i] };
  });
};

/**
 * Add children until there are enough: elements are added and hidden, never removed.
 * @param {Element} parent
 * @param {number} count
 * @param {() => Element} make
 */
const growTo = (parent, count, make) => {
  while (parent.children.length < count) parent.append(make());
};

class LiveView {
  /** @type {Frame | null} */
  frame = null;
  /** @type {Curve[]} */
  curves = [];
  /** @type {HTMLCanvasElement[]} */
  charts = [];
  /** @type {string[]} Graphs that this view paints. */
  graphs = [];
  /** @type {number | null} Place of the pointer on a curve, as a share of the width. */
  cursor = null;
  /** @type {((event: Event) => void) | null} */
  listener = null;

  /**
   * @param {HTMLElement} root
   * @param {import("./types.d.ts").Mount<unknown>["setStateValue"]} setState
   */
  constructor(root, setState) {
    this.root = root;
    this.setState = setState;
    root.innerHTML = SKELETON;
    this.chip = find(root, ".chip");
    this.said = find(root, ".said");
    this.facts = find(root, ".facts");
    this.phases = /** @type {HTMLCanvasElement} */ (find(root, ".phases"));
    this.grid = find(root, ".curves");
    this.events = find(root, ".events");
    const canvas = /** @type {HTMLCanvasElement} */ (find(root, ".heat canvas"));
    this.heat = new HeatMap(canvas, find(root, ".heat .tip"), ({ id }) => {
      this.setState("structure", id);
      for (const graph of this.graphs) send(SELECT, { graph, key: String(id) });
    });
    this.theme = new Theme(root);
    this.resizing = new ResizeObserver(() => this.draw());
    this.resizing.observe(root);
  }

  /**
   * @param {Frame} frame What changes from moment to moment.
   * @param {[id: number, name: string][]} rows Ids and names of the structures, which stay.
   */
  show(frame, rows) {
    const structures = readStructures(frame, rows);
    const bins = unpackBins(frame.heat, structures.length * frame.columns.length);
    this.display(frame, readCurves(frame), structures, bins);
  }

  /**
   * Show a frame whose numbers are decoded already.
   * @param {Frame} frame
   * @param {Curve[]} curves
   * @param {Structure[]} structures
   * @param {Uint8Array} bins Of the heat map, one row after the other.
   */
  display(frame, curves, structures, bins) {
    this.frame = frame;
    this.curves = curves;
    this.heat.load({ structures, bins, columns: frame.columns, measure: frame.measure, ends: frame.ends });
    while (this.charts.length < this.curves.length) this.charts.push(this.addChart());
    this.showTexts(frame);
    this.draw();
  }

  /** @param {Frame} frame */
  showTexts({ state, phase, step, total, facts, events }) {
    growTo(this.facts, facts.length, () => {
      const fact = makeElement("span", "fact");
      fact.append(makeElement("b"), makeElement("i"));
      return fact;
    });
    [...this.facts.children].forEach((fact, i) => {
      fact.toggleAttribute("hidden", i >= facts.length);
      if (i >= facts.length) return;
      const [name, text] = facts[i];
      setText(fact.children[0], text);
      setText(fact.children[1], name);
    });
    growTo(this.events, events.length, () => makeElement("li"));
    [...this.events.children].forEach((line, i) => {
      const event = events[events.length - 1 - i]; // newest first
      line.toggleAttribute("hidden", !event);
      if (event) setText(line, `step ${event[0]} · ${event[2] || event[1]}`);
    });
    setText(this.chip, state);
    this.chip.dataset.state = state;
    const share = total ? ` of ${total}` : "";
    setText(this.said, step < 0 ? "waiting for the first step" : `${phase} · step ${step + 1}${share}`);
  }

  addChart() {
    const canvas = document.createElement("canvas");
    canvas.className = "curve";
    canvas.setAttribute("role", "img");
    canvas.addEventListener("pointermove", (event) => {
      const { left, width } = canvas.getBoundingClientRect();
      this.cursor = (event.clientX - left) / width;
      this.drawCurves();
    });
    canvas.addEventListener("pointerleave", () => {
      this.cursor = null;
      this.drawCurves();
    });
    this.grid.append(canvas);
    return canvas;
  }

  draw() {
    if (!this.frame) return;
    this.theme = new Theme(this.root);
    const { total, step } = this.frame;
    drawPhases(this.phases, this.frame, lastStep(total, step), this.theme);
    this.drawCurves();
    this.heat.draw(this.theme);
  }

  drawCurves() {
    if (!this.frame) return;
    const { total, step, phases } = this.frame;
    const starts = phases.slice(1).map(([, from]) => from);
    const run = { last: lastStep(total, step), starts, cursor: this.cursor };
    this.curves.forEach((curve, i) => {
      drawCurve(this.charts[i], curve, run, this.theme);
    });
  }

  end() {
    this.resizing.disconnect();
  }
}

export { LiveView, readCurves, readStructures };
