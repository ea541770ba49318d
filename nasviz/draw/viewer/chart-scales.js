// Scales of the live charts: limits of values, places of steps and values, thinning to rows. Pure functions.

/**
 * @typedef {import("./types.d.ts").Point} Point
 * @typedef {{ left: number, right: number, top: number, bottom: number }} Frame
 */

/**
 * Return the limits of a curve's vertical axis.
 * Losses and rates keep their own range; others start at zero, and accuracies span at least a tenth.
 * @param {string} name Name of the curve.
 * @param {number[]} values
 * @returns {[low: number, high: number]}
 */
const valueLimits = (name, values) => {
  let [low, high] = values.length ? [Math.min(...values), Math.max(...values)] : [0, 1];
  if (name !== "lr" && name !== "loss") low = Math.min(0, low);
  if (name === "accuracy") high = Math.max(high, low + 0.1);
  if (high - low < 1e-12) high += Math.abs(high) * 0.1 || 1; // equal values would divide by zero
  return [low, high];
};

/**
 * Return the last step of the horizontal axis, at least 1.
 * @param {number} total Steps of the whole run, 0 if unknown.
 * @param {number} step Latest step.
 */
const lastStep = (total, step) => Math.max(total - 1, step, 1);

/**
 * Return a function that maps 0..last to left..right.
 * @param {number} last
 * @param {Frame} frame
 */
const stepScale =
  (last, { left, right }) =>
  (/** @type {number} */ step) =>
    left + (step / last) * (right - left);

/**
 * Return a function that maps low..high to bottom..top.
 * @param {[low: number, high: number]} limits
 * @param {Frame} frame
 */
const valueScale =
  ([low, high], { top, bottom }) =>
  (/** @type {number} */ value) =>
    bottom - ((value - low) / (high - low)) * (bottom - top);

/**
 * Return the step under a place on the horizontal axis.
 * @param {number} x
 * @param {number} last
 * @param {Frame} frame
 */
const stepAt = (x, last, { left, right }) => ((x - left) / (right - left)) * last;

/**
 * Return the point whose step is nearest; the earlier one of two that are equally near.
 * @param {Point[]} points At least one.
 * @param {number} step
 */
const nearestPoint = (points, step) =>
  points.reduce((best, p) => (Math.abs(p[0] - step) < Math.abs(best[0] - step) ? p : best));

/**
 * Return the points of a line that changes in steps: each value lasts until the next point.
 * @param {Point[]} points
 * @returns {Point[]}
 */
const stairs = (points) =>
  points.flatMap(([step, value], i) =>
    i
      ? [
          [step, points[i - 1][1]],
          [step, value],
        ]
      : [[step, value]],
  );

/**
 * Return the height of a row of the heat map: many structures get low rows without text.
 * @param {number} count
 */
const rowHeight = (count) => (count > 60 ? 11 : 21);

/**
 * Return the row at a height below the heading, which may not exist.
 * @param {number} y
 * @param {number} heading
 * @param {number} row Height of a row.
 */
const rowAt = (y, heading, row) => Math.floor((y - heading) / row);

export { lastStep, nearestPoint, rowAt, rowHeight, stairs, stepAt, stepScale, valueLimits, valueScale };
