// Component without an element: carries a moment to a live view on the page, and overlays to the graphs it paints.

import { sendLive, sendPaint } from "./messages.js";

/** @param {{ data: import("./types.d.ts").LiveMessage }} component */
const mount = ({ data }) => {
  sendLive(data);
  for (const message of data.paint) sendPaint(message);
};

export { mount as default };
