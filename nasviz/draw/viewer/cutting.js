// A recorded run, cut at a step: what was known at that moment.

/**
 * @typedef {import("./types.d.ts").Curve} Curve
 * @typedef {import("./types.d.ts").Recording} Recording
 */

const EVENTS = 40;

/**
 * Return curves up to a step.
 * @param {Curve[]} curves
 * @param {number} step
 */
const cutCurves = (curves, step) =>
  curves.map((curve) => ({
    ...curve,
    points: curve.points.filter(([at]) => at <= step),
    marks: curve.marks.filter(([at]) => at <= step),
  }));

/**
 * Return the columns of a heat map up to a step, and their bins row by row.
 * @param {Uint8Array} bins
 * @param {number[]} columns Steps, in order.
 * @param {number} step
 */
const cutHeat = (bins, columns, step) => {
  const kept = columns.filter((at) => at <= step);
  const rows = columns.length ? bins.length / columns.length : 0;
  const cut = new Uint8Array(rows * kept.length);
  for (let row = 0; row < rows; row++) {
    const from = row * columns.length;
    cut.set(bins.subarray(from, from + kept.length), row * kept.length);
  }
  return { columns: kept, bins: cut };
};

/**
 * Return the frame of a moment, without curves and heat map.
 * @param {Recording} recording
 * @param {Recording["moments"][number]} moment
 */
const cutFrame = ({ frame, events }, { step, phase, facts, states, scores }) => ({
  ...frame,
  step,
  phase,
  facts,
  states,
  scores,
  state: "replay",
  phases: frame.phases
    .filter(([, first]) => first <= step)
    .map(
      ([name, first, last]) => /** @type {[string, number, number]} */ ([name, first, Math.min(last, step)]),
    ),
  events: events.filter(([at]) => at <= step).slice(-EVENTS),
});

export { cutCurves, cutFrame, cutHeat };
