// What leads to a vertex and what depends on it.

/**
 * Return vertices and edges that are reached from a vertex along its links, itself left out.
 * @param {import("./types.d.ts").Linked[]} vertices
 * @param {number} start
 * @param {"into" | "from"} links
 */
const reach = (vertices, start, links) => {
  const seen = new Set([start]);
  /** @type {Set<number>} */
  const edges = new Set();
  const queue = [start];
  for (let at = queue.pop(); at !== undefined; at = queue.pop()) {
    for (const [next, edge] of vertices[at][links]) {
      edges.add(edge);
      if (seen.has(next)) continue;
      seen.add(next);
      queue.push(next);
    }
  }
  seen.delete(start);
  return { vertices: seen, edges };
};

export { reach };
