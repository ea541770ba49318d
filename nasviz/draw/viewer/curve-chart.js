// One curve of a run over its steps, with marks of evaluations and a reading under the pointer.

import { nearestPoint, stairs, stepAt, stepScale, valueLimits, valueScale } from "./chart-scales.js";
import { openSheet } from "./live-canvas.js";
import { formatNumber } from "./numbers.js";

/**
 * @typedef {import("./types.d.ts").Curve} Curve
 * @typedef {import("./live-canvas.js").Theme} Theme
 */

/** @type {Record<string, string>} */
const COLOURS = { loss: "--c-loss", accuracy: "--c-accuracy", lr: "--c-lr", zero_groups: "--c-zero" };
/** Curves that change in steps. */
const STAIRS = ["zero_groups", "lr"];

/**
 * Return a value as its axis writes it.
 * @param {string} name
 * @param {number} value
 * @param {number} digits Of a percentage.
 */
const label = (name, value, digits) =>
  name === "accuracy" ? `${(value * 100).toFixed(digits)}%` : formatNumber(value);

/**
 * @param {HTMLCanvasElement} canvas
 * @param {Curve} curve
 * @param {object} run
 * @param {number} run.last Last step.
 * @param {number[]} run.starts First step of each phase but the first.
 * @param {number | null} run.cursor Place of the pointer, as a share of the width.
 * @param {Theme} theme
 */
const drawCurve = (canvas, { name, title, points, marks }, { last, starts, cursor }, theme) => {
  const sheet = openSheet(canvas, 150, theme);
  if (!sheet) return;
  const { pen, width, height } = sheet;
  const limits = valueLimits(
    name,
    [...points, ...marks].map((p) => p[1]),
  );
  const frame = { left: 52, right: width - 10, top: 30, bottom: height - 20 };
  const [x, y] = [stepScale(last, frame), valueScale(limits, frame)];
  const upright = (/** @type {number} */ step) => {
    pen.beginPath();
    pen.moveTo(x(step), frame.top);
    pen.lineTo(x(step), frame.bottom);
    pen.stroke();
  };
  pen.fillStyle = theme.colour("--ink");
  pen.font = theme.font(13, 600);
  pen.fillText(title, 10, 13);
  pen.font = theme.font(12);
  pen.textAlign = "right";
  pen.strokeStyle = theme.colour("--line");
  pen.lineWidth = 1;
  for (const part of [0, 0.5, 1]) {
    const value = limits[0] + part * (limits[1] - limits[0]);
    const at = Math.round(y(value)) + 0.5; // between pixels, so that the line is one pixel wide
    pen.beginPath();
    pen.moveTo(frame.left, at);
    pen.lineTo(frame.right, at);
    pen.stroke();
    pen.fillStyle = theme.colour("--faint");
    pen.fillText(label(name, value, 0), frame.left - 6, at);
  }
  pen.setLineDash([3, 3]);
  for (const start of starts) upright(start);
  pen.setLineDash([]);

  const colour = theme.colour(COLOURS[name]);
  pen.strokeStyle = colour;
  pen.lineWidth = 1.8;
  pen.lineJoin = "round";
  pen.beginPath();
  (STAIRS.includes(name) ? stairs(points) : points).forEach(([step, value], i) => {
    if (i) pen.lineTo(x(step), y(value));
    else pen.moveTo(x(step), y(value));
  });
  pen.stroke();
  for (const [step, value, network] of marks) {
    pen.beginPath();
    if (network === "full") pen.arc(x(step), y(value), 3.6, 0, 2 * Math.PI);
    else pen.rect(x(step) - 3.6, y(value) - 3.6, 7.2, 7.2);
    pen.fillStyle = theme.colour("--page");
    pen.fill();
    pen.stroke();
  }

  const newest = points.at(-1);
  if (newest) {
    let read = newest;
    if (cursor !== null) {
      read = nearestPoint(points, stepAt(cursor * width, last, frame));
      pen.strokeStyle = theme.colour("--faint");
      pen.lineWidth = 1;
      upright(read[0]);
    }
    pen.fillStyle = colour;
    pen.beginPath();
    pen.arc(x(read[0]), y(read[1]), 3.2, 0, 2 * Math.PI);
    pen.fill();
    pen.textAlign = "right";
    pen.font = theme.font(13, 600);
    pen.fillText(label(name, read[1], 1), frame.right, 13);
    if (cursor !== null) {
      pen.fillStyle = theme.colour("--faint");
      pen.font = theme.font(12);
      pen.textAlign = "center";
      const at = Math.min(Math.max(x(read[0]), frame.left + 24), frame.right - 30);
      pen.fillText(`step ${read[0]}`, at, height - 8);
    }
    canvas.setAttribute("aria-label", `${title}, now ${formatNumber(newest[1])}`);
  }
  pen.textAlign = "left";
};

export { drawCurve };
