"""Molecules and reactions drawn for a page."""

from __future__ import annotations

import base64
from xml.etree import ElementTree

import pytest

from drugtail.report.structures import drawn, svg_address

NITROBENZENE = "O=[N+]([O-])c1ccccc1"


def test_a_molecule_is_drawn_with_its_atoms() -> None:
    text = drawn(NITROBENZENE)
    assert text is not None
    bonds = {
        part
        for element in ElementTree.fromstring(text).iter()
        for part in element.get("class", "").split()
        if part.startswith("bond-")
    }
    assert len(bonds) == 9


def test_a_reaction_is_drawn_wider() -> None:
    text, one = drawn(f"{NITROBENZENE}>>Nc1ccccc1"), drawn(NITROBENZENE)
    assert text is not None
    assert one is not None
    widths = [ElementTree.fromstring(svg).get("width") for svg in (text, one)]
    assert widths == ["480px", "240px"]


@pytest.mark.parametrize("smiles", ["no molecule", "C1CC", "CC>>nonsense", "a>b>c>d"])
def test_what_cannot_be_read_is_not_drawn(smiles: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert drawn(smiles) is None
    assert capfd.readouterr() == ("", "")


def test_an_address_holds_the_drawing() -> None:
    head, content = svg_address("<svg/>").split(",")
    assert head == "data:image/svg+xml;base64"
    assert base64.b64decode(content) == b"<svg/>"
