// Values over steps as one small line with its last value.

import { makeElement } from "./dom.js";
import { formatNumber } from "./numbers.js";

/** @typedef {import("./types.d.ts").Point} Point */

const WIDTH = 200;
const HEIGHT = 38;

/**
 * Return the points of the line, scaled to the box; equal values lie on its lower edge.
 * @param {Point[]} history
 * @returns {Point[]}
 */
const sparkPoints = (history) => {
  const [first, last] = [history[0][0], history[history.length - 1][0]];
  const values = history.map(([, value]) => value);
  const low = Math.min(...values);
  const span = Math.max(...values) - low || 1;
  return history.map(([step, value]) => [
    3 + ((step - first) / (last - first || 1)) * (WIDTH - 6),
    HEIGHT - 4 - ((value - low) / span) * (HEIGHT - 8),
  ]);
};

/**
 * @param {string} tag
 * @param {Record<string, string | number>} attributes
 */
const svgElement = (tag, attributes) => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  return element;
};

/**
 * @param {Point[]} history Step and value, at least two.
 * @param {string} measure What the values are.
 */
const sparkline = (history, measure) => {
  const points = sparkPoints(history);
  const [step, value] = history[history.length - 1];
  const steps = `${history[0][0]} to ${step}`;
  const label = `${measure} from step ${steps}, now ${formatNumber(value)}`;
  const svg = svgElement("svg", {
    class: "spark",
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
    role: "img",
    "aria-label": label,
  });
  const line = points.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" ");
  const [cx, cy] = points[points.length - 1];
  svg.append(svgElement("polyline", { points: line }), svgElement("circle", { cx, cy, r: 2.6 }));
  const row = makeElement("div", "history");
  row.append(
    makeElement("span", "", `${measure}, steps ${steps}`),
    svg,
    makeElement("b", "", formatNumber(value)),
  );
  return row;
};

export { sparkline, sparkPoints };
