// Order in which the keyboard walks a graph, and what each key stands for.

import { middle } from "./viewport.js";

/**
 * @typedef {import("./types.d.ts").Box & import("./types.d.ts").Linked} Placed
 * @typedef {"in" | "out" | "one" | "fit" | "search" | "drop" | "down" | "up" | "left" | "right" | "open" | "close"
 *   | "first" | "last"} Command
 */

/** @type {Record<string, Command>} */
const KEYS = {
  "+": "in",
  "=": "in",
  "-": "out",
  0: "one",
  f: "fit",
  "/": "search",
  Escape: "drop",
  ArrowDown: "down",
  ArrowUp: "up",
  ArrowLeft: "left",
  ArrowRight: "right",
  Home: "first",
  End: "last",
};

/**
 * Return what a key stands for; keys held with Control, Meta or Alt are the browser's.
 * @param {{ key: string, shiftKey: boolean, ctrlKey: boolean, metaKey: boolean, altKey: boolean }} event
 * @returns {Command | null}
 */
const commandOf = ({ key, shiftKey, ctrlKey, metaKey, altKey }) => {
  if (ctrlKey || metaKey || altKey) return null;
  if (key === "Enter") return shiftKey ? "close" : "open";
  return Object.hasOwn(KEYS, key) ? KEYS[key] : null;
};

/**
 * Return the neighbour along the edges that is nearest sideways.
 * @param {Placed[]} vertices
 * @param {number} index
 * @param {"into" | "from"} links
 * @returns {number | undefined}
 */
const stepAlong = (vertices, index, links) => {
  const [x] = middle(vertices[index]);
  const away = (/** @type {number} */ i) => Math.abs(middle(vertices[i])[0] - x);
  return vertices[index][links].map(([i]) => i).sort((a, b) => away(a) - away(b))[0];
};

/**
 * Return the nearest vertex to the left (-1) or right (1); a distance in height counts three times.
 * @param {Placed[]} vertices
 * @param {number} index
 * @param {-1 | 1} sign
 * @returns {number | undefined}
 */
const stepSideways = (vertices, index, sign) => {
  const [x, y] = middle(vertices[index]);
  let best;
  let least = Infinity;
  vertices.forEach((other, i) => {
    const dx = (middle(other)[0] - x) * sign;
    const cost = dx + 3 * Math.abs(middle(other)[1] - y);
    if (i !== index && dx > 1 && cost < least) [best, least] = [i, cost];
  });
  return best;
};

export { commandOf, stepAlong, stepSideways };
