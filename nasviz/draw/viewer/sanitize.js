// SVG from the server is let in by a short list: shapes and text, no scripts, links, styles or addresses.

const ELEMENTS = new Set("svg g path polygon polyline ellipse circle rect line text tspan".split(" "));
const ATTRIBUTES = new Set(
  `id class transform viewBox width height d points cx cy rx ry r x y x1 y1 x2 y2 fill stroke stroke-width
  stroke-dasharray stroke-linecap fill-opacity stroke-opacity opacity text-anchor font-family font-size
  font-weight font-style`.split(/\s+/),
);
const HATCH = `<svg xmlns="http://www.w3.org/2000/svg"><defs><pattern id="hatch" width="7" height="7"
  patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect class="paper-of-hatch" width="7" height="7"/>
  <line class="line-of-hatch" y2="7" stroke-width="4"/></pattern></defs></svg>`;

/** @param {string} source */
const parse = (source) => new DOMParser().parseFromString(source, "image/svg+xml").documentElement;

/**
 * Remove every attribute, element and text that is not on the list.
 * @param {Element} element
 */
const clean = (element) => {
  for (const { name, value } of [...element.attributes]) {
    if (!ATTRIBUTES.has(name) || value.includes("url(")) element.removeAttribute(name);
  }
  for (const child of [...element.childNodes]) {
    const isText = child.nodeType === Node.TEXT_NODE && /^(text|tspan)$/.test(element.localName);
    if (child instanceof Element && ELEMENTS.has(child.localName)) clean(child);
    else if (!isText) child.remove();
  }
};

/**
 * Return the SVG of a layout as an element that is safe to show; null where the text is not an SVG.
 * @param {string} text
 * @returns {SVGSVGElement | null}
 */
const parseSvg = (text) => {
  const svg = parse(text);
  if (svg.localName !== "svg") return null;
  clean(svg);
  svg.prepend(.../** @type {Element[]} */ ([...parse(HATCH).children]));
  return /** @type {SVGSVGElement} */ (/** @type {unknown} */ (document.importNode(svg, true)));
};

export { ATTRIBUTES, ELEMENTS, parseSvg };
