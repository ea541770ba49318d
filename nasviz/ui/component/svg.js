// SVG in and out: what the server sends is let in by a short list, what is seen is saved as it looks.

const ELEMENTS = new Set("svg g path polygon polyline ellipse circle rect line text tspan".split(" "));
const ATTRIBUTES = new Set(
  `id class transform viewBox width height d points cx cy rx ry r x y x1 y1 x2 y2 fill stroke stroke-width
  stroke-dasharray stroke-linecap fill-opacity stroke-opacity opacity text-anchor font-family font-size
  font-weight font-style`.split(/\s+/));
const HATCH = `<svg xmlns="http://www.w3.org/2000/svg"><defs><pattern id="hatch" width="7" height="7"
  patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect class="paper-of-hatch" width="7" height="7"/>
  <line class="line-of-hatch" y2="7" stroke-width="4"/></pattern></defs></svg>`;
const LOOK = `fill stroke stroke-width stroke-dasharray opacity font-family font-size font-weight
  text-decoration`.split(/\s+/);
const SHAPES = "path, polygon, ellipse, text, rect, line";

function parseSvg(text) {
  const parse = (source) => new DOMParser().parseFromString(source, "image/svg+xml").documentElement;
  const clean = (element) => {
    for (const { name, value } of [...element.attributes])
      if (!ATTRIBUTES.has(name) || value.includes("url(")) element.removeAttribute(name);
    for (const child of [...element.childNodes]) {
      const isText = child.nodeType === 3 && /^(text|tspan)$/.test(element.localName);
      if (child.nodeType === 1 && ELEMENTS.has(child.localName)) clean(child);
      else if (!isText) child.remove();
    }
  };
  const svg = parse(text);
  if (svg.localName !== "svg") return null;
  clean(svg);
  svg.prepend(parse(HATCH).firstChild);
  return document.importNode(svg, true);
}

// The whole drawing in the colours that are on screen, as a file that needs no style sheet.
function picture({ svg, shift, size, root }) {
  const copy = svg.cloneNode(true);
  const seen = svg.querySelectorAll(SHAPES);
  copy.querySelectorAll(SHAPES).forEach((element, i) => {
    const style = getComputedStyle(seen[i]);
    for (const name of LOOK) {
      const value = style.getPropertyValue(name);
      element.setAttribute(name, value.includes("#hatch") ? "url(#hatch)" : value);
    }
  });
  copy.querySelector(".graph").setAttribute("transform", `translate(${shift.join(" ")})`);
  copy.setAttribute("viewBox", `0 0 ${size.width} ${size.height}`);
  copy.setAttribute("width", size.width);
  copy.setAttribute("height", size.height);
  copy.style.background = getComputedStyle(root).backgroundColor;
  return new XMLSerializer().serializeToString(copy);
}

function bitmap(view, done) {
  const { width, height } = view.size, image = new Image();
  image.onload = () => {
    const k = Math.min(2, 8000 / Math.max(width, height));
    const canvas = Object.assign(document.createElement("canvas"), { width: width * k, height: height * k });
    const pen = canvas.getContext("2d");
    pen.fillStyle = getComputedStyle(view.root).backgroundColor;
    pen.fillRect(0, 0, canvas.width, canvas.height);
    pen.drawImage(image, 0, 0, canvas.width, canvas.height);
    canvas.toBlob(done);
  };
  image.src = URL.createObjectURL(new Blob([picture(view)], { type: "image/svg+xml" }));
}

function save(view, ending) {
  const give = (blob) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `${view.data.title.replace(/[^\w.-]+/g, "_")}.${ending}`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };
  if (ending === "png") bitmap(view, give);
  else if (ending === "svg") give(new Blob([picture(view)], { type: "image/svg+xml" }));
  else give(new Blob([view.data.dot], { type: "text/vnd.graphviz" }));
}
