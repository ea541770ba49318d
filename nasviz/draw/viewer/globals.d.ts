import type { LiveMessage, PaintMessage } from "./types.d.ts";

declare global {
  interface Window {
    /** Last overlay of each graph, by its name. */
    nasvizPainted?: Record<string, PaintMessage>;
    /** Last moment of each live view, by its name. */
    nasvizLive?: Record<string, LiveMessage>;
  }
}
