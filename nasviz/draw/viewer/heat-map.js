// Heat map of scores: a row for each structure, a column for each measurement.

import { rowAt, rowHeight } from "./chart-scales.js";
import { BINS } from "./classes.js";
import { setText } from "./dom.js";
import { openSheet } from "./live-canvas.js";
import { formatNumber } from "./numbers.js";

/**
 * @typedef {import("./types.d.ts").Structure} Structure
 * @typedef {import("./live-canvas.js").Theme} Theme
 *
 * @typedef {object} Heat
 * @property {Structure[]} structures
 * @property {number[]} columns Step of each column.
 * @property {Uint8Array} bins Row by row.
 * @property {string} measure What the scores are.
 * @property {[low: string, high: string]} ends What the ends of the scale mean.
 */

const HEADING = 26;
/** @type {Record<string, string>} */
const MARKS = { selected: "--s-selected", orphaned: "--s-dead-end", zero: "--s-erased" };
/** @type {Record<string, number[]>} */
const DASHES = { zero: [4, 2], orphaned: [1.5, 2] };

class HeatMap {
  /** @type {Heat | null} */
  heat = null;
  row = 21;
  sheet = document.createElement("canvas");
  /** Font and names that were measured last: names stay, so they are measured once. */
  measured = "";
  longest = 0;

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {HTMLElement} tip
   * @param {(structure: Structure) => void} onSelect
   */
  constructor(canvas, tip, onSelect) {
    this.canvas = canvas;
    this.tip = tip;
    canvas.addEventListener("pointermove", (event) => this.point(event));
    canvas.addEventListener("pointerleave", () => {
      tip.hidden = true;
    });
    canvas.addEventListener("click", (event) => {
      const structure = this.under(event);
      if (structure) onSelect(structure);
    });
  }

  /** @param {Heat} heat */
  load(heat) {
    this.heat = heat;
    const zero = heat.structures.filter((s) => s.state === "zero").length;
    const rows = heat.structures.slice(0, 40).map((s) => `${s.name}: ${s.state}, ${s.score ?? "no score"}`);
    const count = `${heat.structures.length} structures over time; ${zero} are zero`;
    this.canvas.setAttribute("aria-label", `${heat.measure} of ${count}. ${rows.join("; ")}`);
  }

  /** @param {Theme} theme */
  draw(theme) {
    if (!this.heat) return;
    const { structures } = this.heat;
    const count = structures.length;
    if (this.canvas.parentElement) this.canvas.parentElement.hidden = !count;
    if (!count) return;
    const row = rowHeight(count);
    this.row = row;
    const sheet = openSheet(this.canvas, HEADING + count * row + 6, theme);
    if (!sheet) return;
    const { pen, width } = sheet;
    pen.font = theme.font(12.5);
    const left = Math.min(this.widest(pen, structures) + 18, width * 0.34);
    const right = width - 92;
    this.drawHeading(pen, this.heat, { right, width }, theme);
    const picture = this.picture(this.heat, theme);
    if (picture) {
      pen.imageSmoothingEnabled = false;
      pen.drawImage(picture, left, HEADING, right - left, count * row - 1);
    }
    pen.fillStyle = theme.colour("--page");
    structures.forEach((_, i) => {
      pen.fillRect(0, HEADING + i * row + row - 1, width, 1);
    });
    if (row < 21) return; // too low for text
    structures.forEach((structure, i) => {
      this.drawRow(pen, structure, { y: HEADING + i * row, left, right }, theme);
    });
  }

  /**
   * @param {CanvasRenderingContext2D} pen
   * @param {Heat} heat
   * @param {{ right: number, width: number }} frame
   * @param {Theme} theme
   */
  drawHeading(pen, { columns, measure, ends: [low, high] }, { right, width }, theme) {
    const steps = columns.length ? `steps ${columns[0]} to ${columns.at(-1)}` : "";
    pen.font = theme.font(12);
    const scale = 146 + pen.measureText(low).width;
    const stepsWidth = pen.measureText(steps).width;
    pen.font = theme.font(13, 600);
    let heading = `${measure} of each structure`;
    let edge = right;
    if (10 + pen.measureText(heading).width > edge - scale) {
      heading = measure; // a phone
      edge = width - 4;
    }
    const after = 20 + pen.measureText(heading).width;
    pen.fillStyle = theme.colour("--ink");
    pen.fillText(heading, 10, 13, edge - scale - 10);
    pen.font = theme.font(12);
    pen.fillStyle = theme.colour("--faint");
    if (after + stepsWidth < edge - scale) pen.fillText(steps, after, 13);
    pen.textAlign = "right";
    pen.fillText(low, edge - 132, 13);
    BINS.forEach((bin, i) => {
      pen.fillStyle = theme.colour(`--cividis-${bin}`);
      pen.fillRect(edge - 126 + i * 7, 7, 7, 11);
    });
    pen.fillStyle = theme.colour("--faint");
    pen.textAlign = "left";
    pen.fillText(high, edge - 58, 13);
  }

  /**
   * @param {CanvasRenderingContext2D} pen
   * @param {Structure} structure
   * @param {{ y: number, left: number, right: number }} frame
   * @param {Theme} theme
   */
  drawRow(pen, { name, state, score }, { y, left, right }, theme) {
    const centre = y + this.row / 2;
    pen.fillStyle = theme.colour(state === "zero" ? "--faint" : "--ink");
    pen.font = theme.font(12.5);
    pen.fillText(name, 10, centre, left - 16);
    if (state === "zero") pen.fillRect(10, centre, Math.min(pen.measureText(name).width, left - 16), 1);
    const mark = MARKS[state];
    if (!mark) {
      pen.fillStyle = theme.colour("--faint");
      if (score !== null) pen.fillText(formatNumber(score), right + 10, centre);
      return;
    }
    pen.fillStyle = pen.strokeStyle = theme.colour(mark);
    pen.lineWidth = 1.4;
    pen.setLineDash(DASHES[state] ?? []);
    pen.beginPath();
    pen.roundRect(right + 8, y + 2.5, 72, this.row - 6, 6);
    pen.stroke();
    pen.setLineDash([]);
    pen.font = theme.font(11.5, 600);
    pen.textAlign = "center";
    pen.fillText(state, right + 44, centre);
    pen.textAlign = "left";
  }

  /**
   * Return the width of the longest name.
   * @param {CanvasRenderingContext2D} pen
   * @param {Structure[]} structures
   */
  widest(pen, structures) {
    const names = pen.font + structures.map((s) => s.name).join("\n");
    if (names !== this.measured) {
      this.measured = names;
      this.longest = Math.max(...structures.map((s) => pen.measureText(s.name).width));
    }
    return this.longest;
  }

  /**
   * Return the cells as a picture with one pixel each; null where there are none.
   * @param {Heat} heat
   * @param {Theme} theme
   */
  picture({ structures, columns, bins }, theme) {
    const [width, height] = [columns.length, structures.length];
    const pen = this.sheet.getContext("2d");
    if (!width || !pen || bins.length !== width * height) return null;
    Object.assign(this.sheet, { width, height });
    const image = pen.createImageData(width, height);
    const pixels = new DataView(image.data.buffer); // red, green, blue, opaque, whatever the machine's order
    const colours = BINS.map((bin) => Number.parseInt(`${theme.colour(`--cividis-${bin}`).slice(1)}ff`, 16));
    bins.forEach((bin, i) => {
      if (bin < colours.length) pixels.setUint32(4 * i, colours[bin]);
    });
    pen.putImageData(image, 0, 0);
    return this.sheet;
  }

  /** @param {MouseEvent} event */
  under(event) {
    const { top } = this.canvas.getBoundingClientRect();
    return this.heat?.structures[rowAt(event.clientY - top, HEADING, this.row)];
  }

  /** @param {PointerEvent} event */
  point(event) {
    const structure = this.under(event);
    this.tip.hidden = !structure;
    if (!structure || !this.heat) return;
    const { id, name, state, score } = structure;
    const { left, top, width } = this.canvas.getBoundingClientRect();
    setText(this.tip.children[0], name);
    const measured = score === null ? "" : ` · ${this.heat.measure.toLowerCase()} ${formatNumber(score)}`;
    setText(this.tip.children[1], `structure ${id} · ${state}${measured}`);
    const x = Math.min(event.clientX - left + 14, width - 220);
    this.tip.style.transform = `translate(${x}px,${event.clientY - top + 16}px)`;
  }
}

export { HeatMap };
