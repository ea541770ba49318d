import { expect, it } from "vitest";
import { cutCurves, cutFrame, cutHeat } from "../../nasviz/draw/viewer/cutting.js";

it("curves and marks end at the step", () => {
  const curve = {
    name: "loss",
    title: "Loss",
    points: [
      [0, 1],
      [5, 2],
      [9, 3],
    ],
    marks: [
      [5, 1, "full"],
      [6, 1, "full"],
    ],
  };
  const [cut] = cutCurves([curve], 5);
  expect(cut.points).toEqual([
    [0, 1],
    [5, 2],
  ]);
  expect(cut.marks).toEqual([[5, 1, "full"]]);
});

it("a heat map keeps the first columns of every row", () => {
  const bins = Uint8Array.from([1, 2, 3, 4, 5, 6]);
  expect(cutHeat(bins, [0, 4, 8], 7)).toEqual({ columns: [0, 4], bins: Uint8Array.from([1, 2, 4, 5]) });
  expect(cutHeat(new Uint8Array(0), [], 7)).toEqual({ columns: [], bins: new Uint8Array(0) });
});

it("phases that have not begun are not shown, and the current one ends at the step", () => {
  const frame = {
    phases: [
      ["warm-up", 0, 4],
      ["projection", 5, 9],
      ["training", 10, 20],
    ],
    total: 21,
  };
  const moment = { step: 7, phase: "projection", facts: [], states: "a", scores: "" };
  const events = Array.from({ length: 60 }, (_, step) => [step, "zero", ""]);
  const cut = cutFrame({ frame, events }, moment);
  expect(cut.phases).toEqual([
    ["warm-up", 0, 4],
    ["projection", 5, 7],
  ]);
  expect(cut.events.map(([step]) => step)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  expect(cut.total).toBe(21);
});
