// Component: a live view, see live-view.js. What changes comes as messages of the feed; the rows come once.

import { markDark } from "./dom.js";
import { LiveView } from "./live-view.js";
import { LIVE, lastLive } from "./messages.js";

/** @typedef {import("./types.d.ts").LiveMessage} LiveMessage */

/** @type {WeakMap<Element, LiveView>} */
const views = new WeakMap();

/** @param {import("./types.d.ts").Mount<{ live: string, rows: [id: number, name: string][] }>} component */
const mount = ({ data, parentElement, setStateValue }) => {
  const root = /** @type {HTMLElement | null} */ (parentElement.querySelector(".nasviz-live"));
  if (!root) return;
  const view = views.get(root) ?? new LiveView(root, setStateValue);
  views.set(root, view);
  view.setState = setStateValue;
  const hear = (/** @type {LiveMessage | undefined} */ message) => {
    if (message?.live !== data.live) return;
    markDark(root);
    view.graphs = message.paint.map(({ graph }) => graph);
    view.show(message.frame, data.rows);
  };
  const listener = (/** @type {Event} */ event) =>
    hear(/** @type {CustomEvent<LiveMessage>} */ (event).detail);
  if (view.listener) window.removeEventListener(LIVE, view.listener);
  view.listener = listener;
  window.addEventListener(LIVE, listener);
  hear(lastLive(data.live));
  return () => {
    if (view.listener) window.removeEventListener(LIVE, view.listener);
    view.end();
    views.delete(root);
  };
};

export { mount as default };
