"""The graph viewer in the browser: ES modules and style sheets, for pages and self-contained reports.

The modules need no build step. `script` links an entry module and its imports into one module, because
Streamlit passes the script of a component to the browser as a blob, in which relative imports cannot be
resolved.
"""

from nasviz.draw.viewer.linking import link_modules, script
from nasviz.draw.viewer.style import style_sheet

__all__ = ["link_modules", "script", "style_sheet"]
