// Classes of vertices and edges. Overlays, selection and search change nothing else in a drawing.

/** States of the palette that an overlay may give a vertex. */
const STATES = "erased dead-end zero sliced bypassed materialised selected current leading protected".split(
  " ",
);

/** Classes of the colour bins. */
const BINS = Array.from({ length: 9 }, (_, i) => `b${i}`);

/**
 * Write all classes of an element at once: many changes to a class list are what costs most in a large graph.
 * @param {import("./types.d.ts").Styled} item
 */
const applyClasses = ({ g, base, paint, mark, hit, ring }) =>
  g.setAttribute("class", `${base} ${paint} ${mark} ${hit} ${ring}`);

/**
 * Return the classes that an overlay gives to a vertex.
 * @param {number | undefined} bin
 * @param {string | undefined} states
 */
const paintClasses = (bin, states) => `${bin === undefined ? "" : `binned b${bin}`} ${states ?? ""}`;

/**
 * Return bin and first state of classes that `paintClasses` made.
 * @param {string} paint
 */
const readPaint = (paint) => {
  const [, bin, state] = /^(?:binned (b\d))? ?(s-[a-z-]+)?/.exec(paint) ?? [];
  return { bin, state };
};

export { applyClasses, BINS, paintClasses, readPaint, STATES };
