// Carries a moment to a live view that is on the page already, and colours to the graphs that it paints.
// The last moment is kept, for a view that is mounted after it has come.

export default function ({ data }) {
  (window.nasvizLive ??= {})[data.live] = data;
  window.dispatchEvent(new CustomEvent("nasviz:live", { detail: data }));
  for (const message of data.paint) {
    (window.nasvizPainted ??= {})[message.graph] = message;
    window.dispatchEvent(new CustomEvent("nasviz:paint", { detail: message }));
  }
}
