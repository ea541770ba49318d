/** Data that the Python side sends to the viewer, and what the viewer's modules hand to each other. */

export type Point = [number, number];

export interface Size {
  width: number;
  height: number;
}

export interface Box {
  x: number;
  y: number;
  w: number;
  h: number;
}

/** Where the drawing stands in the window: offset in pixels and scale. */
export interface Viewport {
  x: number;
  y: number;
  k: number;
}

export type Field = [label: string, text: string];

/** An element whose classes are set as a whole; each part is a word or empty. */
export interface Styled {
  g: Element;
  base: string;
  paint: string;
  mark: string;
  hit: string;
  ring: string;
}

/** Vertex and edge of a link. */
export type Link = [vertex: number, edge: number];

export interface VertexData {
  id: string;
  key: string;
  kind: string;
  in: string | null;
  opens: boolean;
  title: string;
  fields: Field[];
  search: string;
}

export interface Vertex extends VertexData, Box, Styled {
  g: SVGGElement;
  name: string;
  into: Link[];
  from: Link[];
  note: string;
}

export interface Linked {
  into: Link[];
  from: Link[];
}

export interface ClusterData {
  id: string;
  key: string;
  in: string | null;
  title: string;
  closes: boolean;
}

export interface Cluster extends ClusterData {
  g: SVGGElement;
}

export interface GraphData {
  title: string;
  svg: string;
  dot: string;
  vertices: VertexData[];
  clusters: ClusterData[];
  edges: [source: number, target: number][];
  legend: [role: string, meaning: string][];
  states: [state: string, meaning: string][];
  graph: string;
  view: string;
  /** Pixels; 0 reaches down to the lower edge of the window. */
  height: number;
  sync?: string;
}

/** `Overlay.payload` of Python. */
export interface Overlay {
  title: string;
  scale: string;
  limits: [low: string, high: string];
  bins: Record<string, number>;
  states: Record<string, string>;
  notes: Record<string, string>;
  legend: [state: string, meaning: string][];
}

/** `Overlay.packed` of Python. */
export interface PackedOverlay {
  title: string;
  scale: string;
  limits: [low: string, high: string];
  packed: string;
  states: Record<string, string>;
  notes: { prefix: string; binned: (string | null)[]; others: Record<string, string> };
  legend: [state: string, meaning: string][];
}

export interface About {
  id: string;
  vertex: string;
  fields: Field[];
  protected: boolean | null;
  /** Label of the button that adds it to the preview or removes it from there; empty if there is none. */
  erase: string;
  history: Point[];
  measure: string;
}

export interface PaintMessage {
  graph: string;
  view: string;
  overlay: Overlay | PackedOverlay | null;
  selected?: string | null;
  about?: About[];
}

/** `LiveFrame.payload` of Python. */
export interface Frame {
  state: string;
  phase: string;
  step: number;
  total: number;
  facts: [name: string, text: string][];
  phases: [name: string, first: number, last: number][];
  curves: PackedCurve[];
  states: string;
  scores: string;
  columns: number[];
  heat: string;
  events: [step: number, kind: string, text: string][];
  measure: string;
  ends: [low: string, high: string];
}

export interface PackedCurve {
  name: string;
  title: string;
  points: [steps: string, values: string];
  marks: Mark[];
}

export type Mark = [step: number, value: number, network: string];

export interface Curve {
  name: string;
  title: string;
  points: Point[];
  marks: Mark[];
}

export interface Structure {
  id: number;
  name: string;
  state: string;
  score: number | null;
}

export interface LiveMessage {
  live: string;
  frame: Frame;
  paint: PaintMessage[];
}

/** A whole run, as `replay_page` of Python writes it. */
export interface Recording {
  graph: GraphData;
  rows: [id: number, name: string][];
  frame: Frame;
  events: Frame["events"];
  moments: (Pick<Frame, "phase" | "step" | "facts" | "states" | "scores"> & { overlay: PackedOverlay })[];
}

/** What a component of Streamlit is called with. */
export interface Mount<Data> {
  data: Data;
  parentElement: Element;
  setStateValue: (name: string, value: unknown) => void;
  setTriggerValue: (name: string, value: unknown) => void;
}
