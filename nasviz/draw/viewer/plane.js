// Component: the plane of one group of two weights. Point and gradient are dragged, the rest is computed in Python.

import { find } from "./dom.js";
import { gradientTo, halfSpace, pullEnd, weightsAt } from "./plane-geometry.js";

/**
 * @typedef {import("./types.d.ts").Point} Point
 * @typedef {{ x: Point, gradient: Point, trial: Point, projected: Point, epsilon: number, said: string }} PlaneData
 */

const SKELETON = `<svg viewBox="-6.3 -6.3 12.6 12.6" role="img">
  <g class="grid"></g><polygon class="outside"></polygon><line class="wall"></line>
  <line class="axis" x1="-6.2" x2="6.2"></line><line class="axis" y1="-6.2" y2="6.2"></line>
  <line class="slope"></line><line class="step"></line>
  <circle class="after" r="0.3"></circle><circle class="trial" r="0.14"></circle>
  <circle class="handle pull" r="0.2"></circle><circle class="handle point" r="0.24"></circle>
  <text class="n-point">x</text><text class="n-pull">−g</text><text class="n-trial">trial</text></svg>
<p class="keys"><i class="k-point"></i>x, the group now: drag it <i class="k-pull"></i>where the gradient pulls: drag it
  <i class="k-trial"></i>trial point <i class="k-after"></i>after the projection <i class="k-outside"></i>left half-space:
  becomes zero</p>`;

/**
 * @param {Element} element
 * @param {Record<string, string | number>} values
 */
const setAttributes = (element, values) => {
  for (const [name, value] of Object.entries(values)) element.setAttribute(name, String(value));
};

class Plane {
  /** @type {PlaneData | null} */
  data = null;
  /** @type {{ point: Point, gradient: Point }} */
  now = { point: [0, 0], gradient: [0, 0] };
  /** @type {"point" | "pull" | null} Handle that is dragged. */
  held = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  timer;

  /**
   * @param {HTMLElement} root
   * @param {import("./types.d.ts").Mount<unknown>["setStateValue"]} setState
   */
  constructor(root, setState) {
    this.root = root;
    this.setState = setState;
    root.innerHTML = SKELETON;
    this.svg = /** @type {SVGSVGElement} */ (/** @type {unknown} */ (find(root, "svg")));
    this.drawGrid();
    for (const name of /** @type {const} */ (["point", "pull"])) {
      const handle = /** @type {SVGElement} */ (/** @type {unknown} */ (this.part(name)));
      handle.addEventListener("pointerdown", (event) => {
        this.held = name;
        handle.setPointerCapture(event.pointerId);
      });
      handle.addEventListener("pointermove", (event) => {
        if (this.held === name) this.drag(event);
      });
      handle.addEventListener("pointerup", () => {
        this.held = null;
        this.sendLater(0);
      });
    }
  }

  /** @param {string} name */
  part(name) {
    return find(this.root, `.${name}`);
  }

  drawGrid() {
    const grid = this.part("grid");
    for (let at = -6; at <= 6; at++) {
      for (const ends of [
        { x1: at, y1: -6, x2: at, y2: 6 },
        { x1: -6, y1: at, x2: 6, y2: at },
      ]) {
        const line = document.createElementNS("http://www.w3.org/2000/svg", "line");
        setAttributes(line, ends);
        grid.append(line);
      }
    }
  }

  /** @param {PointerEvent} event */
  drag(event) {
    const matrix = this.svg.getScreenCTM();
    if (!matrix) return;
    const { x, y } = new DOMPoint(event.clientX, event.clientY).matrixTransform(matrix.inverse());
    const end = weightsAt(x, y);
    if (this.held === "point") this.now = { ...this.now, point: end };
    else this.now = { ...this.now, gradient: gradientTo(this.now.point, end) };
    this.draw();
    this.sendLater(90);
  }

  /** @param {number} wait Milliseconds. */
  sendLater(wait) {
    clearTimeout(this.timer);
    const send = () => this.setState("moved", { x: this.now.point, gradient: this.now.gradient });
    this.timer = setTimeout(send, wait);
  }

  /** @param {PlaneData} data */
  show(data) {
    this.data = data;
    if (!this.held) this.now = { point: data.x, gradient: data.gradient };
    this.svg.setAttribute("aria-label", data.said);
    this.draw();
  }

  draw() {
    if (!this.data) return;
    const { trial, projected, epsilon } = this.data;
    const { point, gradient } = this.now;
    const pull = pullEnd(point, gradient);
    const dot = (/** @type {string} */ name, /** @type {Point} */ [x, y]) =>
      setAttributes(this.part(name), { cx: x, cy: -y });
    const text = (/** @type {string} */ name, /** @type {Point} */ [x, y]) =>
      setAttributes(this.part(name), { x: x + 0.3, y: -y - 0.25 });
    const line = (/** @type {string} */ name, /** @type {Point} */ [x1, y1], /** @type {Point} */ [x2, y2]) =>
      setAttributes(this.part(name), { x1, y1: -y1, x2, y2: -y2 });
    dot("point", point);
    dot("pull", pull);
    dot("trial", trial);
    dot("after", projected);
    text("n-point", point);
    text("n-pull", pull);
    text("n-trial", trial);
    line("slope", point, pull);
    line("step", point, trial);
    const half = halfSpace(point, epsilon);
    for (const name of ["outside", "wall"]) this.part(name).style.visibility = half ? "visible" : "hidden";
    if (!half) return;
    line("wall", ...half.wall);
    this.part("outside").setAttribute("points", half.outside.map(([x, y]) => `${x},${-y}`).join(" "));
  }
}

/** @type {WeakMap<Element, Plane>} */
const planes = new WeakMap();

/** @param {import("./types.d.ts").Mount<PlaneData>} component */
const mount = ({ data, parentElement, setStateValue }) => {
  const root = /** @type {HTMLElement | null} */ (parentElement.querySelector(".nasviz-plane"));
  if (!root) return;
  const plane = planes.get(root) ?? new Plane(root, setStateValue);
  planes.set(root, plane);
  plane.setState = setStateValue;
  plane.show(data);
  return () => planes.delete(root);
};

export { mount as default };
