// Messages between components of one page. The last one is kept for a view that is mounted after it came.

const PAINT = "nasviz:paint";
const LIVE = "nasviz:live";
const SELECT = "nasviz:choose";

/**
 * @param {string} name
 * @param {unknown} detail
 */
const send = (name, detail) => window.dispatchEvent(new CustomEvent(name, { detail }));

/** @param {import("./types.d.ts").PaintMessage} message */
const sendPaint = (message) => {
  window.nasvizPainted ??= {};
  window.nasvizPainted[message.graph] = message;
  send(PAINT, message);
};

/** @param {import("./types.d.ts").LiveMessage} message */
const sendLive = (message) => {
  window.nasvizLive ??= {};
  window.nasvizLive[message.live] = message;
  send(LIVE, message);
};

/** @param {string} graph */
const lastPaint = (graph) => window.nasvizPainted?.[graph];

/** @param {string} live */
const lastLive = (live) => window.nasvizLive?.[live];

export { LIVE, lastLive, lastPaint, PAINT, SELECT, send, sendLive, sendPaint };
