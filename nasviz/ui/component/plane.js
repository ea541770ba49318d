// The plane of one group of two weights: the point and its gradient are dragged, everything else is told by Python.

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
const FAR = 30, REACH = 6;
const write = (element, values) => {
  for (const [name, value] of Object.entries(values)) element.setAttribute(name, value);
};

class Plane {
  constructor(root) {
    this.root = root;
    root.innerHTML = SKELETON;
    this.find = (name) => root.querySelector("." + name);
    this.svg = root.querySelector("svg");
    const grid = this.find("grid");
    for (let at = -6; at <= 6; at++)
      for (const [from, to] of [[[at, -6], [at, 6]], [[-6, at], [6, at]]]) {
        const line = document.createElementNS("http://www.w3.org/2000/svg", "line");
        write(line, { x1: from[0], y1: from[1], x2: to[0], y2: to[1] });
        grid.append(line);
      }
    for (const name of ["point", "pull"]) {
      const handle = this.find(name);
      handle.addEventListener("pointerdown", (e) => { this.held = name; handle.setPointerCapture(e.pointerId); });
      handle.addEventListener("pointermove", (e) => { if (this.held === name) this.drag(e); });
      handle.addEventListener("pointerup", () => { this.held = null; this.tell(0); });
    }
  }
  // Weights of the place under the pointer; the vertical axis of the screen points down.
  drag(event) {
    const { x, y } = new DOMPoint(event.clientX, event.clientY).matrixTransform(this.svg.getScreenCTM().inverse());
    const inside = (value) => Math.round(Math.min(5, Math.max(-5, value)) * 10) / 10;
    const to = [inside(x), inside(-y)];
    const { point, gradient } = this.now;
    if (this.held === "point") this.now = { ...this.now, point: to };
    else this.now = { ...this.now, gradient: [0, 1].map((i) => Math.round((point[i] - to[i]) * 10) / 10 || 0) };
    if (this.held === "point") this.now.gradient = gradient;
    this.place();
    this.tell(90);
  }
  tell(wait) {
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.send("moved", { x: this.now.point, gradient: this.now.gradient }), wait);
  }
  show(data) {
    this.data = data;
    if (!this.held) this.now = { point: data.x, gradient: data.gradient };
    this.svg.setAttribute("aria-label", data.said);
    this.place();
  }
  place() {
    const { point: [x, y], gradient: [g, h] } = this.now, { trial, projected, epsilon } = this.data;
    const put = (name, [px, py]) => write(this.find(name), { cx: px, cy: -py });
    const name = (label, [px, py]) => write(this.find(label), { x: px + 0.3, y: -py - 0.25 });
    const draw = (line, [ax, ay], [bx, by]) => write(this.find(line), { x1: ax, y1: -ay, x2: bx, y2: -by });
    const pull = [Math.min(REACH, Math.max(-REACH, x - g)), Math.min(REACH, Math.max(-REACH, y - h))];
    put("point", [x, y]); put("pull", pull); put("trial", trial); put("after", projected);
    name("n-point", [x, y]); name("n-pull", pull); name("n-trial", trial);
    draw("slope", [x, y], pull); draw("step", [x, y], trial);
    const length = Math.hypot(x, y);
    for (const part of ["outside", "wall"]) this.find(part).style.visibility = length ? "visible" : "hidden";
    if (!length) return;
    // All y with <y, x> = epsilon |x|^2: through epsilon x, at right angles to x.
    const [ux, uy] = [x / length, y / length], [fx, fy] = [epsilon * x, epsilon * y];
    const corner = (along, away) => [fx - uy * along - ux * away, fy + ux * along - uy * away];
    draw("wall", corner(FAR, 0), corner(-FAR, 0));
    const corners = [corner(FAR, 0), corner(-FAR, 0), corner(-FAR, FAR), corner(FAR, FAR)];
    this.find("outside").setAttribute("points", corners.map(([px, py]) => `${px},${-py}`).join(" "));
  }
}

const planes = new WeakMap();

export default function ({ data, parentElement, setStateValue }) {
  const root = parentElement.querySelector(".nasviz-plane");
  const plane = planes.get(root) ?? planes.set(root, new Plane(root)).get(root);
  plane.send = setStateValue;
  plane.show(data);
  return () => planes.delete(root);
}
