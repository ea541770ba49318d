// Overlays that are sent again and again come packed: colours and notes in the order of the vertices.

function unpacked(overlay, vertices) {
  if (typeof overlay.bins !== "string") return overlay;
  const { prefix, binned, others } = overlay.notes;
  const bins = {}, states = {}, notes = { ...others };
  let place = 0;
  [...overlay.bins].forEach((bin, i) => {
    if (bin === ".") return;
    const { id } = vertices[i], note = binned[place++];
    bins[id] = +bin;
    if (note !== null) notes[id] = prefix + note;
  });
  for (const [words, ids] of Object.entries(overlay.states)) for (const id of ids.split(" ")) states[id] = words;
  return { ...overlay, bins, states, notes };
}
