// Decoding of packed numbers and overlays. Python's encoder is nasviz/draw/packing.py.

const NO_BIN = 15;

/** @param {string} text */
const unpackBytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

/**
 * Read little-endian numbers, whatever the machine's own order.
 * @param {string} text
 * @param {(view: DataView, at: number) => number} read
 */
const unpackWords = (text, read) => {
  const view = new DataView(unpackBytes(text).buffer);
  return Array.from({ length: view.byteLength / 4 }, (_, i) => read(view, 4 * i));
};

/**
 * Return 32-bit floats rounded to five digits, which is what Python measured; NaN where there was nothing.
 * @param {string} text
 */
const unpackFloats = (text) => unpackWords(text, (view, at) => +view.getFloat32(at, true).toPrecision(5));

/** @param {string} text */
const unpackInts = (text) => unpackWords(text, (view, at) => view.getInt32(at, true));

/**
 * Return colour bins, two a byte; `NO_BIN` where there is none.
 * @param {string} text
 * @param {number} count Number of bins; an odd one leaves half of the last byte unused.
 */
const unpackBins = (text, count) => {
  const bytes = unpackBytes(text);
  if (bytes.length !== Math.ceil(count / 2)) return new Uint8Array(0);
  return Uint8Array.from({ length: count }, (_, i) => (i % 2 ? bytes[i >> 1] & 15 : bytes[i >> 1] >> 4));
};

/**
 * Return an overlay by vertex id, from its packed form or as it is.
 * @param {import("./types.d.ts").Overlay | import("./types.d.ts").PackedOverlay} overlay
 * @param {string[]} ids Ids of all vertices of the view, in its order.
 * @returns {import("./types.d.ts").Overlay}
 */
const unpackOverlay = (overlay, ids) => {
  if (!("packed" in overlay)) return overlay;
  const { packed, ...same } = overlay;
  const { prefix, binned, others } = overlay.notes;
  /** @type {Record<string, number>} */
  const bins = {};
  /** @type {Record<string, string>} */
  const states = {};
  const notes = { ...others };
  let place = 0;
  unpackBins(packed, ids.length).forEach((bin, i) => {
    if (bin === NO_BIN) return;
    const note = binned[place++];
    bins[ids[i]] = bin;
    if (note !== null) notes[ids[i]] = prefix + note;
  });
  for (const [classes, marked] of Object.entries(overlay.states)) {
    for (const id of marked.split(" ")) states[id] = classes;
  }
  return { ...same, bins, states, notes };
};

export { NO_BIN, unpackBins, unpackBytes, unpackFloats, unpackInts, unpackOverlay };
