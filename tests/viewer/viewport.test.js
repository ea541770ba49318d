import { describe, expect, it } from "vitest";
import { mapSize, pointOnMap, showsAll, windowOnMap } from "../../nasviz/draw/viewer/minimap.js";
import {
  fitWhole,
  isVisible,
  placeAt,
  readableScale,
  SMALLEST,
  wayInto,
  wheelFactor,
  zoomAt,
} from "../../nasviz/draw/viewer/viewport.js";

const room = { width: 800, height: 600 };
const onScreen = (at, [x, y]) => [at.x + x * at.k, at.y + y * at.k];

describe("zoom", () => {
  it.each([0.5, 1.25, 3])("by %d keeps the point under the pointer", (factor) => {
    const at = { x: -40, y: 25, k: 0.8 };
    const point = [(300 - at.x) / at.k, (200 - at.y) / at.k];
    const zoomed = zoomAt(at, factor, 300, 200);
    expect(zoomed.k).toBeCloseTo(0.8 * factor);
    expect(onScreen(zoomed, point)[0]).toBeCloseTo(300);
    expect(onScreen(zoomed, point)[1]).toBeCloseTo(200);
  });

  it("stops at its limits without moving the drawing", () => {
    expect(zoomAt({ x: 1, y: 2, k: 6 }, 2, 300, 200)).toEqual({ x: 1, y: 2, k: 6 });
    expect(zoomAt({ x: 0, y: 0, k: SMALLEST }, 0.5, 9, 9).k).toBe(SMALLEST);
  });

  it("by the wheel is the same there and back, by lines as by pixels, and never a jump", () => {
    expect(wheelFactor(100, 0) * wheelFactor(-100, 0)).toBeCloseTo(1);
    expect(wheelFactor(-100, 0)).toBeGreaterThan(1);
    expect(wheelFactor(3, 1)).toBeCloseTo(wheelFactor(54, 0));
    expect(wheelFactor(1e6, 0)).toBe(wheelFactor(240, 0));
  });
});

describe("fit", () => {
  it.each([
    { width: 2000, height: 500 },
    { width: 300, height: 5000 },
    { width: 40, height: 30 },
  ])("shows all of $width x $height in the middle", (size) => {
    const at = fitWhole(size, room, 1.4);
    const [left, top] = onScreen(at, [0, 0]);
    const [right, bottom] = onScreen(at, [size.width, size.height]);
    expect(left).toBeCloseTo(room.width - right);
    expect(top).toBeCloseTo(room.height - bottom);
    expect(Math.min(left, top)).toBeGreaterThanOrEqual(16 - 1e-9);
    expect(at.k).toBeLessThanOrEqual(1.4);
  });

  it("needs a smaller scale on a phone to count as readable", () => {
    expect(readableScale(390)).toBeLessThan(readableScale(800));
  });
});

describe("what is in the window", () => {
  const box = { x: 100, y: 100, w: 50, h: 20 };

  it("a vertex at the place it was put is visible, one over an edge is not", () => {
    const at = placeAt({ x: 0, y: 0, k: 2 }, [125, 110], 400, 300);
    expect(onScreen(at, [125, 110])).toEqual([400, 300]);
    expect(isVisible(at, box, room)).toBe(true);
    expect(isVisible(placeAt(at, [100, 110], 20, 300), box, room)).toBe(false);
    expect(isVisible(placeAt(at, [150, 110], 795, 300), box, room)).toBe(false);
    expect(isVisible(placeAt(at, [125, 100], 400, 20), box, room)).toBe(false);
    expect(isVisible(placeAt(at, [125, 120], 400, 590), box, room)).toBe(false);
  });

  it("the shortest way into the window ends inside of it", () => {
    const at = { x: 0, y: 0, k: 1 };
    for (const [x, y] of [
      [-50, 300],
      [790, 595],
      [400, 300],
      [5000, -9],
    ]) {
      const box = { x, y, w: 100, h: 40 };
      const [dx, dy] = wayInto(at, box, room);
      expect(isVisible({ ...at, x: dx, y: dy }, box, room)).toBe(true);
      if (isVisible(at, box, room)) expect([dx, dy]).toEqual([0, 0]);
    }
    expect(wayInto(at, { x: 0, y: 0, w: 5000, h: 40 }, room)).toEqual([32, 32]);
  });
});

describe("small map", () => {
  const size = { width: 3400, height: 1000 };
  const map = mapSize(size);

  it("keeps the shape of the drawing and its largest size", () => {
    expect(map).toEqual({ k: 0.1, width: 340, height: 100 });
    expect(mapSize({ width: 10, height: 90_000 }).width).toBe(1);
  });

  it("shows the part of the drawing that is in the window", () => {
    const at = placeAt({ x: 0, y: 0, k: 1 }, [1000, 200], 0, 0);
    expect(windowOnMap(at, room, map)).toEqual({ left: 100, top: 20, width: 80, height: 60 });
  });

  it("keeps the frame inside the map wherever the window is", () => {
    const { left, top, width, height } = windowOnMap({ x: -9000, y: 9000, k: 1 }, room, map);
    expect(left + width).toBeLessThanOrEqual(map.width);
    expect(top).toBeGreaterThanOrEqual(0);
    expect(top + height).toBeLessThanOrEqual(map.height);
  });

  it("is needed only where something is out of the window", () => {
    expect(showsAll(fitWhole(size, room, 1.4), room, size)).toBe(true);
    expect(showsAll({ x: 0, y: 0, k: 1 }, room, size)).toBe(false);
  });

  it("leads to the point of the drawing under the pointer; it is shown at half its size", () => {
    expect(pointOnMap(50, 10, map.k)).toEqual([1000, 200]);
  });
});
