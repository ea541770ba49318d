// Carries an overlay to a graph view that is on the page already: a kilobyte or two instead of the whole graph.
// The last one is kept, for a graph that is mounted after its overlay has come.

export default function ({ data }) {
  (window.nasvizPainted ??= {})[data.graph] = data;
  window.dispatchEvent(new CustomEvent("nasviz:paint", { detail: data }));
}
