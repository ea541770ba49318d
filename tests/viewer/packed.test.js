import { describe, expect, it } from "vitest";
import { BINS, STATES } from "../../nasviz/draw/viewer/classes.js";
import { readCurves, readStructures } from "../../nasviz/draw/viewer/live-view.js";
import {
  NO_BIN,
  unpackBins,
  unpackFloats,
  unpackInts,
  unpackOverlay,
} from "../../nasviz/draw/viewer/packed.js";
import { ATTRIBUTES, ELEMENTS } from "../../nasviz/draw/viewer/sanitize.js";
import shared from "./shared.json";

describe("what Python packs", () => {
  it("numbers keep their value, and NaN stands for none", () => {
    const values = unpackFloats(shared.floats.packed);
    expect(values.map((value) => (Number.isNaN(value) ? null : value))).toEqual(shared.floats.values);
    expect(unpackInts(shared.ints.packed)).toEqual(shared.ints.values);
  });

  it.each(shared.bins)("bins $values", ({ packed, values }) => {
    expect([...unpackBins(packed, values.length)]).toEqual(values);
  });

  it("bins of another number of cells are not guessed at", () => {
    expect(unpackBins(shared.bins[3].packed, 4)).toHaveLength(0);
  });

  it.each(shared.overlays)("overlays ($plain.title)", ({ ids, plain, packed }) => {
    expect(unpackOverlay(packed, ids)).toEqual(plain);
    expect(unpackOverlay(plain, ids)).toEqual(plain);
  });

  it("frames of a run", () => {
    const { payload, rows, structures, curves, bins } = shared.frame;
    expect(readStructures(payload, rows)).toEqual(structures);
    expect(readCurves(payload)).toEqual(curves);
    expect([...unpackBins(payload.heat, rows.length * payload.columns.length)]).toEqual(bins);
  });

  it("a structure without a row yet is called by its position", () => {
    expect(readStructures(shared.frame.payload, [])[2]).toMatchObject({ id: 2, name: "" });
  });
});

describe("lists that both sides have", () => {
  it("states, bins and what an SVG may hold are the same", () => {
    expect([...STATES].sort()).toEqual(shared.states);
    expect(BINS).toHaveLength(shared.num_bins);
    expect(NO_BIN).toBe(shared.no_bin);
    expect([...ELEMENTS].sort()).toEqual(shared.svg.elements);
    expect([...ATTRIBUTES].sort()).toEqual(shared.svg.attributes);
  });
});
