import { describe, expect, it } from "vitest";
import { applyClasses, paintClasses, readPaint } from "../../nasviz/draw/viewer/classes.js";
import { commandOf, stepAlong, stepSideways } from "../../nasviz/draw/viewer/keyboard.js";
import { findMatches, nextPosition } from "../../nasviz/draw/viewer/search.js";
import { reach } from "../../nasviz/draw/viewer/selection.js";

// A diamond with a tail: 0 -> 1, 0 -> 2, 1 -> 3, 2 -> 3, 3 -> 4; and 5, which nothing leads to.
const EDGES = [
  [0, 1],
  [0, 2],
  [1, 3],
  [2, 3],
  [3, 4],
];
const PLACES = [
  [100, 0],
  [0, 50],
  [120, 50],
  [100, 100],
  [100, 150],
  [400, 55],
];
const vertices = PLACES.map(([x, y]) => ({ x, y, w: 20, h: 10, into: [], from: [] }));
EDGES.forEach(([source, target], edge) => {
  vertices[source].from.push([target, edge]);
  vertices[target].into.push([source, edge]);
});

const press = (key, held = {}) =>
  commandOf({ key, shiftKey: false, ctrlKey: false, metaKey: false, altKey: false, ...held });

describe("keyboard", () => {
  it("goes down and up along the edges, to the neighbour that is nearest sideways", () => {
    expect(stepAlong(vertices, 0, "from")).toBe(2);
    expect(stepAlong(vertices, 3, "into")).toBe(2);
    expect(stepAlong(vertices, 1, "from")).toBe(3);
    expect(stepAlong(vertices, 4, "from")).toBeUndefined();
  });

  it("goes sideways to what is near in height", () => {
    expect(stepSideways(vertices, 1, 1)).toBe(2);
    expect(stepSideways(vertices, 2, 1)).toBe(5);
    expect(stepSideways(vertices, 2, -1)).toBe(1);
    expect(stepSideways(vertices, 5, 1)).toBeUndefined();
  });

  it("knows its keys and leaves the browser's alone", () => {
    expect(["ArrowDown", "f", "/", "Escape", "0", "="].map((key) => press(key))).toEqual([
      "down",
      "fit",
      "search",
      "drop",
      "one",
      "in",
    ]);
    expect([press("Enter"), press("Enter", { shiftKey: true })]).toEqual(["open", "close"]);
    expect(press("f", { ctrlKey: true })).toBeNull();
    expect(press("Tab")).toBeNull();
    expect(press("toString")).toBeNull();
  });
});

describe("selection", () => {
  it("reaches everything before and behind a vertex once, itself left out", () => {
    expect([...reach(vertices, 3, "into").vertices].sort()).toEqual([0, 1, 2]);
    expect([...reach(vertices, 3, "into").edges].sort()).toEqual([0, 1, 2, 3]);
    expect([...reach(vertices, 1, "from").vertices].sort()).toEqual([3, 4]);
    expect(reach(vertices, 5, "from")).toEqual({ vertices: new Set(), edges: new Set() });
  });
});

describe("search", () => {
  const names = ["conv1 Conv2d", "bn1 BatchNorm2d", "conv2 Conv2d"].map((search) => ({ search }));

  it("finds by regular expression and ignores case", () => {
    expect(findMatches(names, "CONV")).toEqual({ hits: [0, 2], isValid: true });
    expect(findMatches(names, "^bn\\d")).toEqual({ hits: [1], isValid: true });
    expect(findMatches(names, "nothing")).toEqual({ hits: [], isValid: true });
  });

  it("finds nothing for an empty text and says where a text is not an expression", () => {
    expect(findMatches(names, "")).toEqual({ hits: [], isValid: true });
    expect(findMatches(names, "conv(")).toEqual({ hits: [], isValid: false });
  });

  it("walks the hits round and round", () => {
    const walk = (start, step) => [1, 2, 3, 4].map(() => (start = nextPosition(start, step, 3)));
    expect(walk(-1, 1)).toEqual([0, 1, 2, 0]);
    expect(walk(0, -1)).toEqual([2, 1, 0, 2]);
  });
});

describe("classes", () => {
  it("are written at once, with an empty word for what is not set", () => {
    const g = { setAttribute: (name, value) => Object.assign(g, { [name]: value }) };
    applyClasses({ g, base: "node stem", paint: "binned b3 s-zero", mark: "up", hit: "", ring: "chosen" });
    expect(g.class.split(/\s+/)).toEqual(["node", "stem", "binned", "b3", "s-zero", "up", "chosen"]);
  });

  it.each([
    [undefined, undefined, {}],
    [0, undefined, { bin: "b0" }],
    [8, "s-selected s-zero", { bin: "b8", state: "s-selected" }],
    [undefined, "s-dead-end", { state: "s-dead-end" }],
  ])("of bin %s and state %s are read back for the small map", (bin, states, seen) => {
    const { bin: readBin, state } = readPaint(paintClasses(bin, states));
    expect({ bin: readBin, state }).toEqual({ bin: seen.bin, state: seen.state });
  });
});
