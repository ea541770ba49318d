// Component without an element: carries an overlay to a graph view on the page, a few kilobytes instead of the graph.

import { sendPaint } from "./messages.js";

/** @param {{ data: import("./types.d.ts").PaintMessage }} component */
const mount = ({ data }) => sendPaint(data);

export { mount as default };
