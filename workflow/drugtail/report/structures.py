"""Molecules and reactions drawn as they are written in a page."""

from __future__ import annotations

import base64

# Pixels; a reaction is wider.
WIDTH, HEIGHT, REACTION_WIDTH = 240, 170, 480
ARROW = ">"


def drawn(smiles: str) -> str | None:
    """Return a molecule or a reaction as SVG; None where RDKit cannot read or draw it.

    Parameters
    ----------
    smiles
        SMILES, or reaction SMILES.
    """
    # Takes a second to import.
    from rdkit.Chem import MolFromSmiles
    from rdkit.Chem.Draw import rdMolDraw2D
    from rdkit.Chem.rdChemReactions import ReactionFromSmarts
    from rdkit.rdBase import BlockLogs

    with BlockLogs():
        try:
            canvas = rdMolDraw2D.MolDraw2DSVG(REACTION_WIDTH if ARROW in smiles else WIDTH, HEIGHT)
            if ARROW in smiles:
                canvas.DrawReaction(ReactionFromSmarts(smiles, useSmiles=True))
            else:
                molecule = MolFromSmiles(smiles)
                if molecule is None:
                    return None
                rdMolDraw2D.PrepareAndDrawMolecule(canvas, molecule)
        # RDKit raises these two at what it cannot read or lay out.
        except (RuntimeError, ValueError):
            return None
    canvas.FinishDrawing()
    return str(canvas.GetDrawingText())


def svg_address(svg: str | bytes) -> str:
    """Return SVG as a data address: an image element keeps its styles apart from the page's."""
    content = svg.encode() if isinstance(svg, str) else svg
    return f"data:image/svg+xml;base64,{base64.b64encode(content).decode()}"
