// Where one looks at a graph from: pan, zoom, and the small map that shows the whole.

const STATES = "erased dead-end zero sliced bypassed materialised selected current leading protected".split(" ").map((s) => "s-" + s);
const BINS = Array.from({ length: 9 }, (_, i) => "b" + i);
const LEAST = 0.005; // a graph of thousands is fitted whole
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
const middle = (v) => [v.x + v.w / 2, v.y + v.h / 2];
const write = (element, text) => {
  const node = element.firstChild ?? element.appendChild(document.createTextNode(""));
  if (node.data !== String(text)) node.data = text; // text that stays is not laid out again
};

class Camera {
  at = { x: 0, y: 0, k: 1 };
  room = { width: 0, height: 0 };

  apply(silent) {
    const { x, y, k } = this.at;
    this.layer?.setAttribute("transform", `translate(${x + k * this.shift[0]} ${y + k * this.shift[1]}) scale(${k})`);
    this.root.classList.toggle("far", k < 0.3); // how much is told depends on how closely one looks
    this.root.classList.toggle("mid", k < 0.5);
    write(this.root.querySelector(".scale"), Math.round(k * 100) + "%");
    this.later();
    if (silent || !this.data?.sync) return;
    const detail = { from: this, group: this.data.sync, at: this.at };
    window.dispatchEvent(new CustomEvent("nasviz:view", { detail }));
  }
  later() {
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this.drawMap());
  }
  zoom(factor, px, py) {
    const { width, height } = this.room;
    const [cx, cy] = [px ?? width / 2, py ?? height / 2];
    const k = clamp(this.at.k * factor, LEAST, 6);
    const f = k / this.at.k;
    this.at = { x: cx - (cx - this.at.x) * f, y: cy - (cy - this.at.y) * f, k };
    this.apply();
  }
  // Whoever scrolls down a page is not to be caught by the graph under the pointer: until it is clicked, the page scrolls.
  wheel(event) {
    const isMeant = event.ctrlKey || event.metaKey || this.root.matches(":focus-within");
    this.stage.classList.toggle("passed", !isMeant);
    clearTimeout(this.passed);
    if (!isMeant) {
      this.passed = setTimeout(() => this.stage.classList.remove("passed"), 1500);
      return;
    }
    event.preventDefault();
    const { left, top } = this.stage.getBoundingClientRect();
    const turned = clamp(event.deltaY * (event.deltaMode ? 18 : 1), -240, 240);
    this.zoom(Math.exp(-turned * 0.0022), event.clientX - left, event.clientY - top);
  }
  fit(limit = 1.4) {
    // Graphs that move in step are all to be seen: the one that needs the smallest scale sets it.
    const asked = { group: this.data?.sync, from: this, limit, at: this.fitting(limit), widest: this.size.width };
    if (asked.group) window.dispatchEvent(new CustomEvent("nasviz:fit", { detail: asked }));
    this.at = { ...asked.at };
    this.widest = asked.widest;
    this.apply();
  }
  fitting(limit) {
    const { width, height } = this.room;
    const k = clamp(Math.min((width - 32) / this.size.width, (height - 32) / this.size.height), LEAST, limit);
    return { x: (width - k * this.size.width) / 2, y: (height - k * this.size.height) / 2, k };
  }
  // All of it, where its words can still be read; else all of its width, as far as that goes.
  readable() {
    this.fit(1.15);
    const { width } = this.room;
    const least = width < 420 ? 0.52 : 0.66; // a phone is held closer
    if (this.at.k >= least || !this.vertices.length) return;
    const first = this.vertices[Math.max(this.chosen, 0)];
    this.at.k = clamp((width - 32) / this.widest, least, 0.9);
    if (this.chosen >= 0) return this.centre(first);
    const isWhole = this.at.k * this.widest <= width;
    const x = isWhole ? this.widest / 2 : first.x + first.w / 2;
    this.moveTo({ point: [x, first.y], px: width / 2, py: 24 });
  }
  moveTo({ point, name, px, py }) {
    const all = [...this.vertices, ...this.clusters.values()];
    const found = point ? null : all.find((item) => item.key === name && (item.opens || item.closes));
    if (found) {
      const { x, y, width } = found.g.getBBox();
      point = [x + this.shift[0] + width / 2, y + this.shift[1]];
    }
    if (point) { this.at.x = px - point[0] * this.at.k; this.at.y = py - point[1] * this.at.k; }
    this.apply();
  }
  // What the panel leaves free: it stands at the side, on a phone at the bottom.
  get free() {
    const { width, height } = this.room;
    if (this.panel.hidden) return { width, height };
    const isPhone = window.matchMedia("(max-width: 640px)").matches;
    return isPhone ? { width, height: height * 0.52 } : { width: width - 320, height };
  }
  centre(v) {
    const { width, height } = this.free;
    this.moveTo({ point: middle(v), px: width / 2, py: height / 2 });
  }
  show(index) {
    const v = this.vertices[index];
    const { width, height } = this.free;
    const [x, y] = [this.at.x + v.x * this.at.k, this.at.y + v.y * this.at.k];
    const isSeen = x >= 24 && y >= 24 && x + v.w * this.at.k <= width - 10 && y + v.h * this.at.k <= height - 24;
    if (!isSeen) this.centre(v);
  }
  // Colours of the small map: read once a theme, because reading them makes the browser settle all styles.
  readColours() {
    const style = getComputedStyle(this.root);
    const names = ["--map", "--accent", ...STATES.map((s) => "--" + s),
      ...BINS.flatMap((b) => ["--cividis-" + b, "--viridis-" + b])];
    this.colours = Object.fromEntries(names.map((name) => [name, style.getPropertyValue(name)]));
    this.thumb = null;
    this.later();
  }
  drawMap() {
    if (!this.svg) return;
    const { width, height } = this.size;
    const k = Math.min(340 / width, 300 / height);
    const sizes = { width: Math.max(1, Math.round(width * k)), height: Math.max(1, Math.round(height * k)) };
    const context = this.map.getContext("2d");
    if (!this.thumb) {
      this.thumb = Object.assign(document.createElement("canvas"), sizes);
      Object.assign(this.map, sizes);
      Object.assign(this.map.style, { width: sizes.width / 2 + "px", height: sizes.height / 2 + "px" });
      const pen = this.thumb.getContext("2d");
      for (const v of this.vertices) {
        const [, bin, state] = (v.looks ??= /^(?:binned (b\d))? ?(s-[a-z-]+)?/.exec(v.paint));
        pen.fillStyle = this.colours[state ? "--" + state : bin ? `--${this.root.dataset.scale}-${bin}` : "--map"];
        pen.fillRect(v.x * k, v.y * k, Math.max(v.w * k, 1.5), Math.max(v.h * k, 1.5));
      }
    }
    context.clearRect(0, 0, sizes.width, sizes.height);
    context.drawImage(this.thumb, 0, 0);
    const { width: w, height: h } = this.room;
    context.strokeStyle = this.colours["--accent"];
    context.lineWidth = 3;
    const part = (value, size) => clamp((value / this.at.k) * k, 2, size - 2);
    const [left, top] = [part(-this.at.x, sizes.width), part(-this.at.y, sizes.height)];
    context.strokeRect(left, top, part(w - this.at.x, sizes.width) - left, part(h - this.at.y, sizes.height) - top);
    this.mapScale = k;
    this.map.hidden = width * this.at.k <= w && height * this.at.k <= h;
  }
}
