import { describe, expect, it } from "vitest";
import {
  lastStep,
  nearestPoint,
  rowAt,
  rowHeight,
  stairs,
  stepAt,
  stepScale,
  valueLimits,
  valueScale,
} from "../../nasviz/draw/viewer/chart-scales.js";
import { clamp, formatNumber } from "../../nasviz/draw/viewer/numbers.js";
import { gradientTo, halfSpace, pullEnd, weightsAt } from "../../nasviz/draw/viewer/plane-geometry.js";
import { fileName } from "../../nasviz/draw/viewer/save.js";
import { sparkPoints } from "../../nasviz/draw/viewer/sparkline.js";

const frame = { left: 50, right: 250, top: 30, bottom: 130 };

describe("limits of values", () => {
  it("losses and rates keep their range, counts start at zero, accuracies span a tenth", () => {
    expect(valueLimits("loss", [0.4, 0.9])).toEqual([0.4, 0.9]);
    expect(valueLimits("zero_groups", [3, 5])).toEqual([0, 5]);
    expect(valueLimits("accuracy", [0.01, 0.02])).toEqual([0, 0.1]);
  });

  it("equal values and none still have a height", () => {
    expect(valueLimits("lr", [0.1, 0.1])[1]).toBeCloseTo(0.11);
    expect(valueLimits("loss", [0, 0])).toEqual([0, 1]);
    expect(valueLimits("loss", [])).toEqual([0, 1]);
  });
});

describe("scales", () => {
  it("map steps and values to the frame and back", () => {
    const x = stepScale(99, frame);
    expect([x(0), x(99)]).toEqual([50, 250]);
    expect(stepAt(x(42), 99, frame)).toBeCloseTo(42);
    const y = valueScale([1, 3], frame);
    expect([y(1), y(2), y(3)]).toEqual([130, 80, 30]);
  });

  it("end at the last step of the run, or at the newest where the end is unknown", () => {
    expect([lastStep(400, 7), lastStep(0, 7), lastStep(0, -1)]).toEqual([399, 7, 1]);
  });

  it("read the nearest point", () => {
    const points = [
      [0, 5],
      [10, 6],
      [30, 7],
    ];
    expect(nearestPoint(points, 12)[0]).toBe(10);
    expect(nearestPoint(points, 20)[0]).toBe(10);
    expect(nearestPoint(points, 99)[0]).toBe(30);
  });

  it("stairs keep each value until the next step", () => {
    expect(
      stairs([
        [0, 1],
        [5, 2],
      ]),
    ).toEqual([
      [0, 1],
      [5, 1],
      [5, 2],
    ]);
    expect(stairs([])).toEqual([]);
  });

  it("rows of the heat map are low where there are many", () => {
    expect(rowHeight(60)).toBeGreaterThan(rowHeight(61));
    expect([rowAt(25, 26, 21), rowAt(26, 26, 21), rowAt(68, 26, 21)]).toEqual([-1, 0, 2]);
  });
});

describe("small line of a history", () => {
  it("fills its box from left to right, the largest value on top", () => {
    const points = sparkPoints([
      [10, 1],
      [20, 3],
      [30, 2],
    ]);
    expect(points).toEqual([
      [3, 34],
      [100, 4],
      [197, 19],
    ]);
  });

  it("a history that stands still is a level line", () => {
    expect(
      sparkPoints(
        [
          [0, 2],
          [1, 2],
        ].map((p) => p),
      ).map(([, y]) => y),
    ).toEqual([34, 34]);
  });
});

describe("numbers", () => {
  it("have three digits and an exponent where they are very small or very large", () => {
    expect([0, 0.12345, 12.345, 1234.5, 1e-5, -2.5e6].map(formatNumber)).toEqual([
      "0",
      "0.123",
      "12.3",
      "1230",
      "1.0e-5",
      "-2.5e+6",
    ]);
    expect([clamp(5, 0, 3), clamp(-1, 0, 3), clamp(2, 0, 3)]).toEqual([3, 0, 2]);
  });

  it("file names hold nothing that a file system refuses", () => {
    expect(fileName("a/b: <c>..\\d", "svg")).toBe("a_b_c_.._d.svg");
  });
});

describe("plane of two weights", () => {
  it("rounds drags to tenths inside the picture and turns the axis up", () => {
    expect(weightsAt(1.234, 2.06)).toEqual([1.2, -2.1]);
    expect(weightsAt(99, -99)).toEqual([5, 5]);
    expect(weightsAt(0, 0)).toEqual([0, 0]);
  });

  it("the end of the gradient's arrow leads back to the gradient", () => {
    expect(pullEnd([1, 2], gradientTo([1, 2], [3, -1]))).toEqual([3, -1]);
    expect(pullEnd([1, 2], [99, -99])).toEqual([-6, 6]);
  });

  it("the edge of the half-space goes through epsilon x, at right angles to x", () => {
    const [x, epsilon] = [[3, 4], 0.5];
    const dot = ([a, b]) => a * x[0] + b * x[1];
    const { wall, outside } = halfSpace(x, epsilon);
    for (const point of wall) expect(dot(point)).toBeCloseTo(epsilon * 25);
    for (const point of outside) expect(dot(point)).toBeLessThanOrEqual(epsilon * 25 + 1e-9);
    expect(halfSpace([0, 0], 0.5)).toBeNull();
  });
});
