// Component: a graph view, see graph-view.js.

import { markDark } from "./dom.js";
import { GraphView } from "./graph-view.js";
import { lastPaint } from "./messages.js";

/** @type {WeakMap<Element, GraphView>} */
const views = new WeakMap();

/** @param {import("./types.d.ts").Mount<import("./types.d.ts").GraphData>} component */
const mount = ({ data, parentElement, setStateValue, setTriggerValue }) => {
  const root = /** @type {HTMLElement | null} */ (parentElement.querySelector(".nasviz-graph"));
  if (!root) return;
  const view = views.get(root) ?? new GraphView(root, setStateValue, setTriggerValue);
  views.set(root, view);
  view.setState = setStateValue;
  view.trigger = setTriggerValue;
  markDark(root);
  view.map.readColours();
  if (view.data?.view !== data.view) view.load(data);
  else {
    view.data = data;
    view.fill();
    view.camera.sync = data.sync ?? "";
    view.drawMapLater();
  }
  view.paint(lastPaint(data.graph));
  return () => {
    view.end();
    views.delete(root);
  };
};

export { mount as default };
