"""Options of the app's server, declared once: for `nasviz app` and for `streamlit run app.py --`."""

from nasviz.catalog import Setting

__all__ = ["SERVER"]

SERVER = {
    option.name: option
    for option in (
        Setting("runs", "text", "runs", metavar="DIR", help="Folder of runs, or NASVIZ_RUNS."),
        Setting(
            "trust",
            "names",
            (),
            metavar="DIR",
            help="Folder from which your own Python may be imported, each time after a click. Repeatable.",
        ),
        Setting(
            "open",
            "names",
            (),
            metavar="PACKAGE.MODULE:CALLABLE",
            help="Network of a trusted folder that is imported without a click. Repeatable.",
        ),
        Setting(
            "host",
            "names",
            (),
            metavar="NAME",
            help="Name or address under which browsers reach this server. Repeatable.",
        ),
        Setting(
            "token",
            "text",
            None,
            metavar="auto|VALUE",
            help="Secret that the first address of a browser must hold; auto draws one.",
        ),
        Setting(
            "behind_proxy",
            "bool",
            default=False,
            help="A proxy that authenticates people stands in front, so no token is needed.",
        ),
    )
}
"""By name, as the operator types them with hyphens."""
