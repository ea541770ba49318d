// Saving what is seen: SVG and PNG in the colours on screen, and the DOT text.

/**
 * @typedef {object} Shown
 * @property {SVGSVGElement} svg
 * @property {import("./types.d.ts").Point} shift Offset that the layout gave to the drawing.
 * @property {import("./types.d.ts").Size} size
 * @property {HTMLElement} root
 * @property {{ title: string, dot: string }} data
 */

const LOOK =
  "fill stroke stroke-width stroke-dasharray opacity font-family font-size font-weight text-decoration".split(
    " ",
  );
const SHAPES = "path, polygon, ellipse, text, rect, line";
/** Longest side of a PNG, below what browsers allow for a canvas. */
const LONGEST = 8000;

/**
 * Return the whole drawing with the colours that are on screen, as text that needs no style sheet.
 * @param {Shown} shown
 */
const toSvg = ({ svg, shift, size, root }) => {
  const copy = /** @type {SVGSVGElement} */ (svg.cloneNode(true));
  const originals = svg.querySelectorAll(SHAPES);
  copy.querySelectorAll(SHAPES).forEach((element, i) => {
    const style = getComputedStyle(originals[i]);
    for (const name of LOOK) {
      const value = style.getPropertyValue(name);
      element.setAttribute(name, value.includes("#hatch") ? "url(#hatch)" : value);
    }
  });
  copy.querySelector(".graph")?.setAttribute("transform", `translate(${shift.join(" ")})`);
  copy.setAttribute("viewBox", `0 0 ${size.width} ${size.height}`);
  copy.setAttribute("width", String(size.width));
  copy.setAttribute("height", String(size.height));
  copy.style.background = getComputedStyle(root).backgroundColor;
  return new XMLSerializer().serializeToString(copy);
};

/** @param {string} text */
const svgBlob = (text) => new Blob([text], { type: "image/svg+xml" });

/**
 * @param {Shown} shown
 * @param {(blob: Blob | null) => void} done
 */
const toPng = (shown, done) => {
  const { width, height } = shown.size;
  const image = new Image();
  const address = URL.createObjectURL(svgBlob(toSvg(shown)));
  image.onload = () => {
    const k = Math.min(2, LONGEST / Math.max(width, height));
    const canvas = Object.assign(document.createElement("canvas"), { width: width * k, height: height * k });
    const pen = canvas.getContext("2d");
    if (!pen) return;
    pen.fillStyle = getComputedStyle(shown.root).backgroundColor;
    pen.fillRect(0, 0, canvas.width, canvas.height);
    pen.drawImage(image, 0, 0, canvas.width, canvas.height);
    URL.revokeObjectURL(address);
    canvas.toBlob(done);
  };
  image.src = address;
};

/**
 * Return the name of a saved file: the title, without what a file name cannot hold.
 * @param {string} title
 * @param {string} ending
 */
const fileName = (title, ending) => `${title.replace(/[^\w.-]+/g, "_")}.${ending}`;

/**
 * Offer the drawing as a download.
 * @param {Shown} shown
 * @param {string} ending `svg`, `png` or `dot`.
 */
const save = (shown, ending) => {
  const offer = (/** @type {Blob | null} */ blob) => {
    if (!blob) return;
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = fileName(shown.data.title, ending);
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };
  if (ending === "png") toPng(shown, offer);
  else if (ending === "svg") offer(svgBlob(toSvg(shown)));
  else offer(new Blob([shown.data.dot], { type: "text/vnd.graphviz" }));
};

export { fileName, save };
