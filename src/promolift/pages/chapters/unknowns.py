"""Chapter 9. What is not known, why it matters, and what would tell."""

from collections.abc import Mapping

from promolift.pages.blocks import Block, Chapter, note
from promolift.pages.story import Story, Unknown
from promolift.words import clip

LEGEND: Mapping[str, str] = {
    "randomised": "decided by chance, so differences are effects",
    "adjusted": "observed, with adjustments and checks shown; not proven",
    "assumed": "stated in advance, not read from this data",
}


def tell(story: Story) -> Chapter:
    """The unknowns, and what the evidence levels mean."""
    lead = "An unknown is not a zero. This is what the numbers above cannot tell, and what would."
    items = [u if isinstance(u, Unknown) else Unknown(str(u)) for u in story.unknowns or () if u]
    rows = [
        {
            "what": clip(u.what, 400),
            "why": clip(u.why, 600) if u.why else "",
            "todo": clip(u.todo, 600) if u.todo else "",
        }
        for u in items
    ]
    listed = (
        Block("unknowns", {"rows": rows})
        if rows
        else note("No list of unknowns was given. That does not mean that everything is known.", "warn")
    )
    return Chapter(
        "unknowns",
        "Not known",
        "What is not known?",
        lead,
        [listed, Block("legend", {"rows": LEGEND}, "What the evidence marks mean")],
    )
