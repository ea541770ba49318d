// A canvas in device pixels, and the colours and the font of the page for it.

/**
 * @typedef {{ pen: CanvasRenderingContext2D, width: number, height: number }} Sheet
 */

/**
 * Return a cleared canvas to draw on in CSS pixels; null while it is not on screen.
 * @param {HTMLCanvasElement} canvas
 * @param {number} height
 * @param {Theme} theme
 * @returns {Sheet | null}
 */
const openSheet = (canvas, height, theme) => {
  const width = canvas.clientWidth;
  const ratio = window.devicePixelRatio || 1;
  const pen = canvas.getContext("2d");
  if (!width || !pen) return null;
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w || canvas.height !== h) {
    Object.assign(canvas, { width: w, height: h });
    canvas.style.height = `${height}px`;
  }
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  pen.font = theme.font(12);
  pen.textBaseline = "middle";
  return { pen, width, height };
};

/** Colours and font of one drawing; each colour is read once, a large run asks for one thousands of times. */
class Theme {
  /** @type {Map<string, string>} */
  colours = new Map();

  /** @param {Element} root */
  constructor(root) {
    this.style = getComputedStyle(root);
    this.family = this.style.fontFamily;
  }

  /** @param {string} name Custom property. */
  colour(name) {
    let value = this.colours.get(name);
    if (value === undefined) {
      value = this.style.getPropertyValue(name).trim();
      this.colours.set(name, value);
    }
    return value;
  }

  /**
   * @param {number} size
   * @param {number} [weight]
   */
  font(size, weight = 400) {
    return `${weight} ${size}px ${this.family}`;
  }
}

export { openSheet, Theme };
