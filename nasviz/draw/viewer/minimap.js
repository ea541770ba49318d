// The small map that shows the whole graph and the part of it that is in the window.

import { BINS, readPaint, STATES } from "./classes.js";
import { clamp } from "./numbers.js";

/** Largest size in device pixels; it is shown at half of it. */
const LARGEST = { width: 340, height: 300 };

/**
 * @typedef {import("./types.d.ts").Size} Size
 * @typedef {import("./types.d.ts").Viewport} Viewport
 * @typedef {import("./types.d.ts").Vertex} Vertex
 */

/**
 * Return the map's scale and its size in device pixels.
 * @param {Size} size Of the drawing.
 */
const mapSize = (size) => {
  const k = Math.min(LARGEST.width / size.width, LARGEST.height / size.height);
  return {
    k,
    width: Math.max(1, Math.round(size.width * k)),
    height: Math.max(1, Math.round(size.height * k)),
  };
};

/**
 * Return the part of the map that the window shows, kept inside the map.
 * @param {Viewport} at
 * @param {Size} room Of the window.
 * @param {{ k: number, width: number, height: number }} map
 */
const windowOnMap = (at, room, map) => {
  const part = (/** @type {number} */ value, /** @type {number} */ limit) =>
    clamp((value / at.k) * map.k, 2, limit - 2);
  const [left, top] = [part(-at.x, map.width), part(-at.y, map.height)];
  return {
    left,
    top,
    width: part(room.width - at.x, map.width) - left,
    height: part(room.height - at.y, map.height) - top,
  };
};

/**
 * Return whether the window shows the whole drawing, so that no map is needed.
 * @param {Viewport} at
 * @param {Size} room
 * @param {Size} size
 */
const showsAll = (at, room, size) => size.width * at.k <= room.width && size.height * at.k <= room.height;

/**
 * Return the point of the drawing under a point of the map, given in CSS pixels from its corner.
 * @param {number} px
 * @param {number} py
 * @param {number} k Scale of the map.
 * @returns {import("./types.d.ts").Point}
 */
const pointOnMap = (px, py, k) => [(2 * px) / k, (2 * py) / k];

class Minimap {
  /** @type {HTMLCanvasElement | null} Picture of all vertices; drawn again when colours change. */
  picture = null;
  /** @type {Record<string, string>} */
  colours = {};
  scale = 1;

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {HTMLElement} root Element that has the colours as custom properties.
   */
  constructor(canvas, root) {
    this.canvas = canvas;
    this.root = root;
  }

  /** Read the colours once a theme: reading them makes the browser settle all styles. */
  readColours() {
    const style = getComputedStyle(this.root);
    const bins = BINS.flatMap((bin) => [`--cividis-${bin}`, `--viridis-${bin}`]);
    const names = ["--map", "--accent", ...STATES.map((state) => `--s-${state}`), ...bins];
    this.colours = Object.fromEntries(names.map((name) => [name, style.getPropertyValue(name)]));
    this.picture = null;
  }

  /**
   * @param {Vertex[]} vertices
   * @param {Size} size Of the drawing.
   * @param {Viewport} at
   * @param {Size} room Of the window.
   */
  draw(vertices, size, at, room) {
    const map = mapSize(size);
    const pen = this.canvas.getContext("2d");
    if (!pen) return;
    this.picture ??= this.drawVertices(vertices, map);
    pen.clearRect(0, 0, map.width, map.height);
    pen.drawImage(this.picture, 0, 0);
    pen.strokeStyle = this.colours["--accent"];
    pen.lineWidth = 3;
    const shown = windowOnMap(at, room, map);
    pen.strokeRect(shown.left, shown.top, shown.width, shown.height);
    this.scale = map.k;
    this.canvas.hidden = showsAll(at, room, size);
  }

  /**
   * @param {Vertex[]} vertices
   * @param {{ k: number, width: number, height: number }} map
   */
  drawVertices(vertices, { k, width, height }) {
    const picture = Object.assign(document.createElement("canvas"), { width, height });
    Object.assign(this.canvas, { width, height });
    Object.assign(this.canvas.style, { width: `${width / 2}px`, height: `${height / 2}px` });
    const pen = picture.getContext("2d");
    if (!pen) return picture;
    for (const v of vertices) {
      const { bin, state } = readPaint(v.paint);
      const name = state ? `--${state}` : bin ? `--${this.root.dataset.scale}-${bin}` : "--map";
      pen.fillStyle = this.colours[name];
      pen.fillRect(v.x * k, v.y * k, Math.max(v.w * k, 1.5), Math.max(v.h * k, 1.5));
    }
    return picture;
  }
}

export { Minimap, mapSize, pointOnMap, showsAll, windowOnMap };
