"""Cards of the Model page: one for each network of the zoo, also where nothing is printed of it."""

from streamlit.testing.v1 import AppTest

from nasviz.catalog import NETWORKS


def test_every_network_of_the_zoo_has_a_card() -> None:
    def script() -> None:
        from nasviz.catalog import NETWORKS
        from nasviz.ui.parts import zoo

        zoo.cards([entry for entry in NETWORKS.values() if entry.family != "torchvision"])

    app = AppTest.from_function(script).run(timeout=60)
    assert not app.exception
    titles = [text.value for text in app.markdown]
    assert all(f"**{e.title}**" in titles for e in NETWORKS.values() if e.family != "torchvision")
    assert len(app.button) == len(titles)
