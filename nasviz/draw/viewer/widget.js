// Widget of a notebook: a graph view and a live view, whose data are the traits of one model of anywidget.

import { makeElement } from "./dom.js";
import { default as mountGraph } from "./graph.js";
import { default as mountLive } from "./live.js";
import { sendLive, sendPaint } from "./messages.js";

/**
 * The part of anywidget's model that is used here.
 * @typedef {{
 *   get: (name: string) => any,
 *   set: (name: string, value: unknown) => void,
 *   save_changes: () => void,
 *   on: (name: string, listener: () => void) => void,
 *   off: (name: string, listener: () => void) => void,
 * }} Model
 */

const ignore = () => {};

/** @param {{ model: Model, el: HTMLElement }} widget */
const render = ({ model, el }) => {
  // A counter would repeat: anywidget imports this module once for each widget, and messages reach the whole page.
  const name = `widget-${Math.random().toString(36).slice(2)}`;
  const problem = makeElement("div", "nasviz-problem");
  const live = makeElement("div", "nasviz-live");
  const graph = makeElement("div", "nasviz-graph");
  live.hidden = true;
  graph.hidden = true;
  el.classList.add("nasviz-widget");
  el.append(problem, live, graph);

  const select = (/** @type {string} */ key, /** @type {unknown} */ value) => {
    if (key !== "selected") return;
    model.set("selected", value ?? "");
    model.save_changes();
  };
  /** @type {(() => void) | undefined} */
  let endGraph;
  /** @type {(() => void) | undefined} */
  let endLive;
  const paint = () => {
    const painted = model.get("painted");
    if (painted) sendPaint({ ...painted, graph: name });
  };
  const draw = () => {
    const data = model.get("graph");
    if (!data) return;
    graph.hidden = false;
    paint();
    const mounted = { ...data, graph: name };
    endGraph = mountGraph({
      data: mounted,
      parentElement: el,
      setStateValue: select,
      setTriggerValue: ignore,
    });
  };
  const show = () => {
    const frame = model.get("frame");
    if (!frame) return;
    sendLive({ live: name, frame, paint: [] });
    if (endLive) return;
    live.hidden = false;
    const data = { live: name, rows: model.get("rows") };
    endLive = mountLive({ data, parentElement: el, setStateValue: ignore, setTriggerValue: ignore });
  };
  const rename = () => {
    endLive?.();
    endLive = undefined;
    show();
  };
  const explain = () => {
    problem.textContent = model.get("problem");
  };
  /** @type {[name: string, listener: () => void][]} */
  const listeners = [
    ["change:graph", draw],
    ["change:painted", paint],
    ["change:frame", show],
    ["change:rows", rename],
    ["change:problem", explain],
  ];
  for (const [event, listener] of listeners) model.on(event, listener);
  draw();
  show();
  explain();
  return () => {
    for (const [event, listener] of listeners) model.off(event, listener);
    endGraph?.();
    endLive?.();
  };
};

/** The form of a widget that anywidget calls once for all views of a model. */
const widget = () => ({ render });

export { widget as default };
