"""The graph viewer in the browser: ES modules and style sheets, for pages and for reports without a server.

The modules need no build step. `script` links an entry module and what it imports into one module, because
Streamlit hands the script of a component to the browser as a blob, where relative imports cannot be resolved.
"""

from nasviz.draw.viewer.linking import link_modules, script
from nasviz.draw.viewer.style import style_sheet

__all__ = ["link_modules", "script", "style_sheet"]
