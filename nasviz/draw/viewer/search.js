// Search over the vertices of a graph by regular expression.

/**
 * @typedef {object} Found
 * @property {number[]} hits Positions of the vertices that match.
 * @property {boolean} isValid Whether the text is a regular expression.
 */

/**
 * Return which vertices match, ignoring case; an empty text matches none.
 * @param {{ search: string }[]} vertices
 * @param {string} text
 * @returns {Found}
 */
const findMatches = (vertices, text) => {
  if (!text) return { hits: [], isValid: true };
  /** @type {RegExp} */
  let pattern;
  try {
    pattern = new RegExp(text, "i");
  } catch {
    return { hits: [], isValid: false };
  }
  return { hits: vertices.flatMap((v, i) => (pattern.test(v.search) ? [i] : [])), isValid: true };
};

/**
 * Return the position of the next hit, starting over at the end; -1 stands before the first.
 * @param {number} position
 * @param {number} step 1 or -1.
 * @param {number} count
 */
const nextPosition = (position, step, count) => (position + step + count) % count;

export { findMatches, nextPosition };
