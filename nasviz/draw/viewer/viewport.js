// Viewport mathematics: where a drawing stands in its window. Pure functions, in pixels and in units of the drawing.

import { clamp } from "./numbers.js";

/** Smallest scale: a graph of thousands of vertices still fits. */
const SMALLEST = 0.005;
const LARGEST = 6;
const MARGIN = 32;

/**
 * @typedef {import("./types.d.ts").Viewport} Viewport
 * @typedef {import("./types.d.ts").Size} Size
 * @typedef {import("./types.d.ts").Box} Box
 * @typedef {import("./types.d.ts").Point} Point
 */

/**
 * @param {Box} box
 * @returns {Point}
 */
const middle = ({ x, y, w, h }) => [x + w / 2, y + h / 2];

/**
 * Zoom by a factor; the point under (px, py) stays where it is.
 * @param {Viewport} at
 * @param {number} factor
 * @param {number} px
 * @param {number} py
 * @returns {Viewport}
 */
const zoomAt = (at, factor, px, py) => {
  const k = clamp(at.k * factor, SMALLEST, LARGEST);
  const f = k / at.k;
  return { x: px - (px - at.x) * f, y: py - (py - at.y) * f, k };
};

/**
 * Return the factor of one turn of the wheel; a turn by lines counts as 18 pixels each.
 * @param {number} delta
 * @param {number} mode `deltaMode` of the event.
 */
const wheelFactor = (delta, mode) => Math.exp(-clamp(delta * (mode ? 18 : 1), -240, 240) * 0.0022);

/**
 * Centre the whole drawing in the window, at most at the scale `limit`.
 * @param {Size} size
 * @param {Size} room
 * @param {number} limit
 * @returns {Viewport}
 */
const fitWhole = (size, room, limit) => {
  const k = Math.min((room.width - MARGIN) / size.width, (room.height - MARGIN) / size.height);
  const scale = clamp(k, SMALLEST, limit);
  return {
    x: (room.width - scale * size.width) / 2,
    y: (room.height - scale * size.height) / 2,
    k: scale,
  };
};

/**
 * Smallest scale at which labels of 12.5 units are 11 pixels high; a phone is held closer.
 * @param {number} width Of the window.
 */
const readableScale = (width) => (width < 420 ? 0.6 : 0.88);

/**
 * Put a point of the drawing at (px, py) of the window.
 * @param {Viewport} at
 * @param {Point} point
 * @param {number} px
 * @param {number} py
 * @returns {Viewport}
 */
const placeAt = (at, [x, y], px, py) => ({ x: px - x * at.k, y: py - y * at.k, k: at.k });

/**
 * Return whether a vertex is in the window with some space around it.
 * @param {Viewport} at
 * @param {Box} box
 * @param {Size} room
 */
const isVisible = (at, box, room) => {
  const [left, top] = [at.x + box.x * at.k, at.y + box.y * at.k];
  const [right, bottom] = [left + box.w * at.k, top + box.h * at.k];
  return left >= 24 && top >= 24 && right <= room.width - 10 && bottom <= room.height - 24;
};

/**
 * Return the shortest shift that brings a vertex into the window; its upper left corner if it is larger.
 * @param {Viewport} at
 * @param {Box} box
 * @param {Size} room
 * @returns {Point}
 */
const wayInto = (at, box, room) => {
  const way = (/** @type {number} */ start, /** @type {number} */ length, /** @type {number} */ size) =>
    start < MARGIN || length > size - 2 * MARGIN
      ? MARGIN - start
      : Math.min(0, size - MARGIN - length - start);
  return [
    way(at.x + box.x * at.k, box.w * at.k, room.width),
    way(at.y + box.y * at.k, box.h * at.k, room.height),
  ];
};

export { fitWhole, isVisible, middle, placeAt, readableScale, SMALLEST, wayInto, wheelFactor, zoomAt };
