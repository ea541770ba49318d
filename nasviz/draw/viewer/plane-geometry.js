// Geometry of the plane of one group of two weights: rounding of drags, and the half-space of the projection.

import { clamp } from "./numbers.js";

/** @typedef {import("./types.d.ts").Point} Point */

/** Largest coordinate that can be dragged to, and largest that is drawn for the gradient's end. */
const LIMIT = 5;
const REACH = 6;
/** Far outside the picture. */
const FAR = 30;

/** @param {number} value */
const tenths = (value) => Math.round(value * 10) / 10 || 0; // `|| 0` turns -0 into 0

/**
 * Return the weights under a place of the picture, whose vertical axis points down.
 * @param {number} x
 * @param {number} y
 * @returns {Point}
 */
const weightsAt = (x, y) => [tenths(clamp(x, -LIMIT, LIMIT)), tenths(clamp(-y, -LIMIT, LIMIT))];

/**
 * Return the gradient whose arrow leads from a point to another.
 * @param {Point} point
 * @param {Point} end
 * @returns {Point}
 */
const gradientTo = (point, end) => [tenths(point[0] - end[0]), tenths(point[1] - end[1])];

/**
 * Return the end of the arrow against the gradient, kept inside the picture.
 * @param {Point} point
 * @param {Point} gradient
 * @returns {Point}
 */
const pullEnd = ([x, y], [g, h]) => [clamp(x - g, -REACH, REACH), clamp(y - h, -REACH, REACH)];

/**
 * Return the edge and the outside of the half-space {y : <y, x> >= epsilon |x|^2}; null where x is zero.
 * The edge goes through epsilon x at right angles to x.
 * @param {Point} x
 * @param {number} epsilon
 * @returns {{ wall: [Point, Point], outside: Point[] } | null}
 */
const halfSpace = ([x, y], epsilon) => {
  const length = Math.hypot(x, y);
  if (!length) return null;
  const [ux, uy] = [x / length, y / length];
  /** @type {(along: number, away: number) => Point} */
  const corner = (along, away) => [
    epsilon * x - uy * along - ux * away,
    epsilon * y + ux * along - uy * away,
  ];
  return {
    wall: [corner(FAR, 0), corner(-FAR, 0)],
    outside: [corner(FAR, 0), corner(-FAR, 0), corner(-FAR, FAR), corner(FAR, FAR)],
  };
};

export { gradientTo, halfSpace, pullEnd, weightsAt };
