// Panel with the details of the selected vertex and what can be done with it.

import { makeElement, setText } from "./dom.js";
import { sparkline } from "./sparkline.js";

/**
 * @typedef {import("./types.d.ts").Vertex} Vertex
 * @typedef {import("./types.d.ts").About} About
 */

/**
 * @param {string} text
 * @param {string} title
 * @param {string} action
 */
const makeButton = (text, title, action) => {
  const button = makeElement("button", "", text);
  button.title = title;
  button.setAttribute("aria-label", title);
  button.dataset.do = action;
  return button;
};

/** @param {string} text */
const copyText = async (text) => {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // A page that came neither over https nor from this machine has no clipboard.
    const box = Object.assign(document.createElement("textarea"), { value: text });
    document.body.append(box);
    box.select();
    document.execCommand("copy");
    box.remove();
  }
};

/**
 * @param {import("./types.d.ts").Field[]} fields
 */
const makeList = (fields) => {
  const list = makeElement("dl");
  for (const [label, text] of fields) {
    const fate = label !== "Removal" ? "" : text.startsWith("stays") ? "stays" : "goes";
    list.append(makeElement("dt", "", label), makeElement("dd", fate, text));
  }
  return list;
};

class Panel {
  /** @type {Vertex | undefined} */
  vertex;
  /** @type {About[]} */
  abouts = [];
  /** @type {HTMLElement | null} */
  noteBox = null;
  more = makeElement("div", "more");
  shown = "";
  vertexInAddress = "";

  /** @param {HTMLElement} element */
  constructor(element) {
    this.element = element;
  }

  /**
   * Show a vertex, or nothing.
   * @param {Vertex | undefined} v
   * @param {import("./types.d.ts").Cluster | undefined} module The open module around it.
   * @param {{ up: number, down: number }} counts How many vertices lead here and depend on it.
   */
  draw(v, module, counts) {
    this.vertex = v;
    this.shown = "";
    this.element.hidden = !v;
    this.noteBox = null;
    if (!v) {
      this.element.replaceChildren();
      return;
    }
    const head = makeElement("header");
    head.append(
      makeElement("h3", "", v.title),
      makeButton("Copy", "Copy name", "copy"),
      makeButton("✕", "Close (Esc)", "drop"),
    );
    this.noteBox = makeElement("p", "note");
    this.more = makeElement("div", "more");
    const neighbours = `${counts.up} lead here, ${counts.down} depend on it`;
    const list = makeList([...v.fields, ["Neighbours", neighbours]]);
    const buttons = makeElement("div", "doors");
    if (v.opens) buttons.append(makeButton("Open module", "Open this module (Enter)", "open"));
    if (module?.closes) {
      buttons.append(
        makeButton(`Close ${module.title}`, "Close the module around it (Shift+Enter)", "close"),
      );
    }
    this.element.replaceChildren(head, this.noteBox, list, this.more, buttons);
    this.drawAbout(this.abouts);
    this.setNote(v.note);
  }

  /** @param {string} note */
  setNote(note) {
    if (this.noteBox) setText(this.noteBox, note);
  }

  /**
   * Show what Python adds a moment later: group, slices, history, protection.
   * @param {About[]} abouts
   */
  drawAbout(abouts) {
    this.abouts = abouts;
    const about = abouts.find(({ id }) => id === this.vertex?.id);
    if (!about) return;
    this.vertexInAddress = about.vertex;
    const text = JSON.stringify(about);
    if (text === this.shown) return;
    this.shown = text;
    const buttons = makeElement("div", "doors");
    if (about.erase) buttons.append(makeButton(about.erase, about.erase, "erase"));
    if (about.protected !== null) {
      const lock = makeButton(
        about.protected ? "Protected" : "Protect",
        "Protect it from removal",
        "protect",
      );
      lock.setAttribute("role", "switch");
      lock.setAttribute("aria-checked", String(about.protected));
      buttons.append(lock);
    }
    buttons.append(makeButton("Copy link", "Copy an address that opens this vertex", "link"));
    const history = about.history.length > 1 ? [sparkline(about.history, about.measure)] : [];
    this.more.replaceChildren(...history, makeList(about.fields), buttons);
  }

  /** Return the address of this page with the selected vertex. */
  address() {
    const url = new URL(window.location.href);
    url.searchParams.set("vertex", this.vertexInAddress);
    return url.href;
  }

  /**
   * Copy a text and say so on the button.
   * @param {string} text
   * @param {string} action
   */
  async copy(text, action) {
    await copyText(text);
    const button = this.element.querySelector(`[data-do="${action}"]`);
    if (!button) return;
    const before = button.textContent;
    button.textContent = "Copied";
    setTimeout(() => {
      button.textContent = before;
    }, 1200);
  }
}

export { Panel };
