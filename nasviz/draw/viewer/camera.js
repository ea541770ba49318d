// Camera of a graph: applies the viewport to the drawing and keeps graphs that move in step together.

import { setText } from "./dom.js";
import { send } from "./messages.js";
import { clamp } from "./numbers.js";
import { fitWhole, placeAt, readableScale, wheelFactor, zoomAt } from "./viewport.js";

/**
 * @typedef {import("./types.d.ts").Viewport} Viewport
 * @typedef {import("./types.d.ts").Size} Size
 * @typedef {import("./types.d.ts").Point} Point
 * @typedef {{ from: Camera, group: string, at: Viewport }} Moved
 * @typedef {{ from: Camera, group: string, limit: number, at: Viewport, widest: number }} Fitting
 */

const MOVED = "nasviz:view";
const FIT = "nasviz:fit";

class Camera {
  /** @type {Viewport} */
  at = { x: 0, y: 0, k: 1 };
  /** @type {Size} Of the window. */
  room = { width: 0, height: 0 };
  /** @type {Size | null} Of the drawing, once there is one. */
  size = null;
  /** @type {Point} Offset that the layout gave to the drawing. */
  shift = [0, 0];
  /** @type {Element | null} Group that is moved. */
  layer = null;
  /** Graphs with the same word here move in step. */
  sync = "";
  /** Whether a person has chosen what is seen, so that another size of the window keeps it. */
  isMoved = false;
  /** Width of the widest graph that moves in step. */
  widest = 1;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  hintTimer;

  /**
   * @param {HTMLElement} root
   * @param {HTMLElement} stage
   * @param {HTMLElement} label Shows the scale.
   * @param {() => void} onChange
   */
  constructor(root, stage, label, onChange) {
    this.root = root;
    this.stage = stage;
    this.label = label;
    this.onChange = onChange;
    this.followMoved = (/** @type {Event} */ event) =>
      this.follow(/** @type {CustomEvent<Moved>} */ (event).detail);
    this.answerFit = (/** @type {Event} */ event) =>
      this.answer(/** @type {CustomEvent<Fitting>} */ (event).detail);
    window.addEventListener(MOVED, this.followMoved);
    window.addEventListener(FIT, this.answerFit);
  }

  end() {
    window.removeEventListener(MOVED, this.followMoved);
    window.removeEventListener(FIT, this.answerFit);
  }

  apply({ isSilent = false } = {}) {
    const { x, y, k } = this.at;
    const [dx, dy] = this.shift;
    this.layer?.setAttribute("transform", `translate(${x + k * dx} ${y + k * dy}) scale(${k})`);
    this.root.classList.toggle("far", k < 0.3); // the closer, the more detail
    this.root.classList.toggle("mid", k < 0.6);
    setText(this.label, `${Math.round(k * 100)}%`);
    this.onChange();
    if (!isSilent && this.sync) send(MOVED, { from: this, group: this.sync, at: this.at });
  }

  /** @param {Moved} detail */
  follow({ from, group, at }) {
    if (from === this || !this.sync || group !== this.sync) return;
    this.at = { ...at };
    this.isMoved = true;
    this.apply({ isSilent: true });
  }

  /**
   * @param {number} factor
   * @param {number} [px] Point that stays where it is; the middle of the window if left out.
   * @param {number} [py]
   */
  zoom(factor, px = this.room.width / 2, py = this.room.height / 2) {
    this.at = zoomAt(this.at, factor, px, py);
    this.isMoved = true;
    this.apply();
  }

  /**
   * Zoom by the wheel once the graph has been clicked; until then the page scrolls.
   * @param {WheelEvent} event
   */
  wheel(event) {
    const isMeant = event.ctrlKey || event.metaKey || this.root.matches(":focus-within");
    this.stage.classList.toggle("passed", !isMeant);
    clearTimeout(this.hintTimer);
    if (!isMeant) {
      this.hintTimer = setTimeout(() => this.stage.classList.remove("passed"), 1500);
      return;
    }
    event.preventDefault();
    const { left, top } = this.stage.getBoundingClientRect();
    this.zoom(wheelFactor(event.deltaY, event.deltaMode), event.clientX - left, event.clientY - top);
  }

  /**
   * Show the whole drawing; of graphs that move in step, the one that needs the smallest scale sets it.
   * @param {number} limit Largest scale.
   */
  fit(limit = 1.4) {
    if (!this.size) return;
    const own = fitWhole(this.size, this.room, limit);
    const asked = { group: this.sync, from: this, limit, at: own, widest: this.size.width };
    if (this.sync) send(FIT, asked); // listeners answer at once, by changing the message
    this.at = { ...asked.at };
    this.widest = asked.widest;
    this.isMoved = false;
    this.apply();
  }

  /** @param {Fitting} asked */
  answer(asked) {
    if (asked.from === this || !this.size || !this.sync || asked.group !== this.sync) return;
    const own = fitWhole(this.size, this.room, asked.limit);
    if (own.k < asked.at.k) asked.at = own;
    asked.widest = Math.max(asked.widest, this.size.width);
  }

  /**
   * Show all of the drawing where its labels can be read, else its width from `first` on.
   * @param {import("./types.d.ts").Box | undefined} first
   * @returns {boolean} Whether the drawing does not fit, and so `first` may need to be centred.
   */
  fitReadable(first) {
    this.fit(1.15);
    const { width } = this.room;
    const least = readableScale(width);
    if (this.at.k >= least || !first) return false;
    this.at.k = clamp((width - 32) / this.widest, least, 1);
    const isWhole = this.at.k * this.widest <= width;
    this.place([isWhole ? this.widest / 2 : first.x + first.w / 2, first.y], width / 2, 24);
    return true;
  }

  /**
   * Put a point of the drawing at (px, py) of the window.
   * @param {Point} point
   * @param {number} px
   * @param {number} py
   */
  place(point, px, py) {
    this.at = placeAt(this.at, point, px, py);
    this.isMoved = true;
    this.apply();
  }

  /**
   * @param {number} dx
   * @param {number} dy
   */
  pan(dx, dy) {
    this.at = { ...this.at, x: this.at.x + dx, y: this.at.y + dy };
    this.isMoved = true;
    this.apply();
  }
}

export { Camera };
