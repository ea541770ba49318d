// Bar of a run's phases over its steps.

import { openSheet } from "./live-canvas.js";

const TOP = 4;
const HEIGHT = 22;

/**
 * @param {HTMLCanvasElement} canvas
 * @param {{ phases: [string, number, number][], phase: string }} frame
 * @param {number} last Last step of the run.
 * @param {import("./live-canvas.js").Theme} theme
 */
const drawPhases = (canvas, { phases, phase }, last, theme) => {
  const sheet = openSheet(canvas, 30, theme);
  if (!sheet) return;
  const { pen, width } = sheet;
  const x = (/** @type {number} */ step) => (step / (last + 1)) * width;
  pen.fillStyle = theme.colour("--soft");
  pen.beginPath();
  pen.roundRect(0, TOP, width, HEIGHT, 7);
  pen.fill();
  pen.save();
  pen.clip();
  for (const [name, from, to] of phases) {
    const isNow = name === phase;
    pen.fillStyle = theme.colour(`--p-${name}`);
    pen.globalAlpha = isNow ? 1 : 0.62;
    pen.fillRect(x(from), TOP, Math.max(x(to + 1) - x(from) - 1.5, 1), HEIGHT);
    pen.globalAlpha = 1;
    pen.fillStyle = "#ffffff";
    pen.font = theme.font(12.5, isNow ? 600 : 400);
    if (pen.measureText(name).width + 14 < x(to + 1) - x(from)) pen.fillText(name, x(from) + 8, 15.5);
  }
  pen.restore();
};

export { drawPhases };
