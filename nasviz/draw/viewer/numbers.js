// Numbers: limits and how they are written.

/**
 * @param {number} value
 * @param {number} low
 * @param {number} high
 */
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

/**
 * Return a number with three digits, in scientific notation where it is very small or very large.
 * @param {number} value
 */
const formatNumber = (value) => {
  const size = Math.abs(value);
  return size && (size < 0.001 || size >= 1e5) ? value.toExponential(1) : String(+value.toPrecision(3));
};

export { clamp, formatNumber };
