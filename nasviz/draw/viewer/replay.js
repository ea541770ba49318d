// Start of a page that replays a run without a server: a player, a graph and a live view.

import { cutCurves, cutFrame, cutHeat } from "./cutting.js";
import { find, makeElement, markDark, setText } from "./dom.js";
import { default as mountGraph } from "./graph.js";
import { LiveView, readCurves, readStructures } from "./live-view.js";
import { sendPaint } from "./messages.js";
import { unpackBins, unpackBytes } from "./packed.js";

/** @typedef {import("./types.d.ts").Recording} Recording */

const SECONDS = 15; // a whole run at speed 1
const SPEEDS = [0.25, 0.5, 1, 2, 4];
const MARGIN = 100; // the toolbar of the graph, its legend and the edge of the window
const ignore = () => {};

/** @returns {Promise<Recording>} */
const read = async () => {
  const bytes = unpackBytes(find(document, "#replay").textContent ?? "");
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).json();
};

/**
 * @param {Recording} recording
 * @returns {(place: number) => void} Shows a moment.
 */
const mountScene = (recording) => {
  const { graph, frame, rows, moments } = recording;
  const graphRoot = find(document, ".nasviz-graph");
  const parentElement = /** @type {Element} */ (graphRoot.parentElement);
  const room = window.innerHeight - graphRoot.getBoundingClientRect().top - MARGIN;
  const paint = (/** @type {number} */ place) =>
    sendPaint({ graph: graph.graph, view: graph.view, overlay: moments[place].overlay, about: [] });
  paint(0);
  const data = { ...graph, height: Math.max(420, room) };
  mountGraph({ data, parentElement, setStateValue: ignore, setTriggerValue: ignore });

  const root = find(document, ".nasviz-live");
  markDark(root);
  const live = new LiveView(root, ignore);
  live.graphs = [graph.graph];
  const curves = readCurves(frame);
  const bins = unpackBins(frame.heat, frame.states.length * frame.columns.length);
  return (place) => {
    const moment = moments[place];
    const heat = cutHeat(bins, frame.columns, moment.step);
    const now = { ...cutFrame(recording, moment), columns: heat.columns };
    live.display(now, cutCurves(curves, moment.step), readStructures(now, rows), heat.bins);
    paint(place);
  };
};

/**
 * Build the player: play and pause, a slider over the moments, the speed, and a button for each phase.
 * @param {Recording} recording
 * @param {(place: number) => void} show
 */
const mountPlayer = ({ moments, frame }, show) => {
  const bar = find(document, ".player");
  const play = /** @type {HTMLButtonElement} */ (makeElement("button", "play"));
  const slider = document.createElement("input");
  const speed = document.createElement("select");
  const said = document.createElement("output");
  Object.assign(slider, { type: "range", min: "0", max: String(moments.length - 1), value: "0" });
  slider.setAttribute("aria-label", "Moment of the run");
  speed.setAttribute("aria-label", "Speed");
  for (const times of SPEEDS) speed.append(new Option(`${times}×`, String(times), times === 1, times === 1));
  bar.append(play, slider, said, speed);

  let at = 0;
  let isPlaying = false;
  let before = 0;
  const last = moments.length - 1;
  const go = (/** @type {number} */ place) => {
    at = Math.min(Math.max(place, 0), last);
    const whole = Math.floor(at);
    slider.value = String(whole);
    const { phase, step } = moments[whole];
    const words =
      phase === "sub-network" ? "sub-network" : `step ${step + 1} of ${frame.total || frame.step + 1}`;
    setText(said, words);
    slider.setAttribute("aria-valuetext", words);
    show(whole);
  };
  const set = (/** @type {boolean} */ playing) => {
    isPlaying = playing;
    setText(play, playing ? "Pause" : "Play");
    if (!playing) return;
    if (at >= last) go(0);
    before = performance.now();
    requestAnimationFrame(tick);
  };
  const tick = (/** @type {number} */ now) => {
    if (!isPlaying) return;
    const place = at + ((now - before) / 1000) * ((last + 1) / SECONDS) * Number(speed.value);
    before = now;
    if (Math.floor(place) > Math.floor(at)) go(place);
    else at = Math.max(place, at);
    if (at >= last) set(false);
    else requestAnimationFrame(tick);
  };
  const jump = (/** @type {number} */ place) => {
    set(false);
    go(place);
  };
  play.addEventListener("click", () => set(!isPlaying));
  slider.addEventListener("input", () => jump(Number(slider.value)));
  moments.forEach(({ phase }, place) => {
    if (place && phase === moments[place - 1].phase) return;
    const button = makeElement("button", "", phase);
    button.addEventListener("click", () => jump(place));
    bar.append(button);
  });
  go(0);
  set(!window.matchMedia("(prefers-reduced-motion: reduce)").matches);
};

const start = async () => {
  const recording = await read();
  mountPlayer(recording, mountScene(recording));
};

start();
