// Start of a report that is read without a server: mounts every graph whose data lies in the file.

import { default as mountGraph } from "./graph.js";
import { sendPaint } from "./messages.js";

const ignore = () => {};

for (const root of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll(".nasviz-graph"))) {
  const text = document.getElementById(root.dataset.from ?? "")?.textContent;
  if (!text || !root.parentElement) continue;
  const data = JSON.parse(text);
  sendPaint(data.painted);
  mountGraph({ data, parentElement: root.parentElement, setStateValue: ignore, setTriggerValue: ignore });
}
