// Small helpers for elements.

/**
 * Set an element's text without adding or removing a node where one is there; unchanged text is not laid out again.
 * @param {Element} element
 * @param {string | number} text
 */
const setText = (element, text) => {
  const node = /** @type {Text} */ (element.firstChild ?? element.appendChild(document.createTextNode("")));
  if (node.data !== String(text)) node.data = String(text);
};

/**
 * @param {string} tag
 * @param {string} [className]
 * @param {string} [text]
 */
const makeElement = (tag, className, text) => {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
};

/**
 * Return the element that a selector finds; the viewer's own markup always holds it.
 * @template {Element} [E=HTMLElement]
 * @param {ParentNode} root
 * @param {string} selector
 */
const find = (root, selector) => {
  const element = root.querySelector(selector);
  if (!element) throw new Error(`the viewer's markup has no ${selector}`);
  return /** @type {E} */ (element);
};

/**
 * Set the class `dark` where the page behind an element is dark.
 * @param {HTMLElement} root
 */
const markDark = (root) => {
  const [r, g, b] = (getComputedStyle(root).backgroundColor.match(/[\d.]+/g) ?? [255, 255, 255]).map(Number);
  root.classList.toggle("dark", 0.3 * r + 0.59 * g + 0.11 * b < 110); // luma of ITU-R BT.601
};

/**
 * Return the distance of an element from the top of its page, however far that is scrolled.
 * @param {Element} element
 */
const pageTop = (element) => {
  let { top } = element.getBoundingClientRect();
  /** @type {Element | null} */
  let at = element;
  while (at) {
    top += at.scrollTop;
    const root = at.getRootNode();
    at = at.parentElement ?? (root instanceof ShadowRoot ? root.host : null);
  }
  return top;
};

export { find, makeElement, markDark, pageTop, setText };
