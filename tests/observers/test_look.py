"""The status page in a real browser, on a phone and a desk, light and dark: legible, nothing cut off, nothing blocked.

Set IPSYNC_PICTURES to a folder to keep the pictures and look at them.
"""

from __future__ import annotations

import os
import shutil
from contextlib import closing
from itertools import pairwise, product
from pathlib import Path

import pytest
import waves
from browser import browser
from scene import Scene

from ipsync.core.rollout import Wave
from ipsync.core.signals import Leadership
from ipsync.observers.keeper import Keeper
from ipsync.observers.ledger import Ledger
from ipsync.observers.page import StatusPage
from ipsync.observers.server import Server
from ipsync.observers.web import Site
from ipsync.verification.base import Result

TARGETS = (
    waves.target("staging-web", "sg-1", "canary"),
    waves.target("production-web", "sg-2", "main"),
    waves.target("production-api", "sg-3", "late"),
)
HINT = "the runners' addresses were let in, and two of fourteen tests failed all the same; look at the run before you let the rest go"

CONTRAST = """
const light = ([r, g, b]) => [r, g, b].map(c => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
  .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
const colour = text => text.match(/[\\d.]+/g).map(Number);
const behind = node => { for (; node; node = node.parentElement) {
  const found = colour(getComputedStyle(node).backgroundColor); if (found.length < 4 || found[3] > 0) return found; }
  return [255, 255, 255]; };
const poor = [];
for (const node of document.querySelectorAll('body *')) {
  if (![...node.childNodes].some(c => c.nodeType === 3 && c.textContent.trim())) continue;
  const [a, b] = [light(colour(getComputedStyle(node).color)), light(behind(node))].sort((x, y) => y - x);
  const ratio = (a + 0.05) / (b + 0.05);
  if (ratio < 4.5) poor.push(`${node.tagName}.${node.className} ${ratio.toFixed(2)} ${node.textContent.slice(0, 40)}`);
}
return poor;
"""
"""WCAG 2.2, 1.4.3 (AA): each text against what is behind it."""
CUT_OFF = """
const wide = document.documentElement.clientWidth;
return [...document.querySelectorAll('body *')].filter(n => n.getBoundingClientRect().right > wide + 1
  && !n.closest('.scroll') && n.getClientRects().length && getComputedStyle(n).position !== 'absolute')
  .map(n => `${n.tagName}.${n.className} ${n.textContent.slice(0, 40)}`);
"""
LEVELS = "return [...document.querySelectorAll('h1,h2,h3')].map(n => +n.tagName[1])"
OPEN = "document.querySelectorAll('details').forEach(d => { d.open = true })"
STYLED = "return getComputedStyle(document.querySelector('.card')).borderTopLeftRadius"
DARK = "return getComputedStyle(document.body).backgroundColor"


@pytest.mark.skipif(
    not (shutil.which("chromedriver") and shutil.which("chromium")),
    reason="Chromium isn't here (Debian's packages chromium and chromium-driver)",
)
@pytest.mark.slow
def test_the_page_is_legible_on_a_phone_and_a_desk_light_and_dark(tmp_path):
    pictures = Path(os.environ.get("IPSYNC_PICTURES", tmp_path))
    pages = {name: StatusPage(lambda kept=kept: kept.status, lambda: None) for name, kept in _shown().items()}
    site = Site({f"/{name}": page for name, page in pages.items()}, here=True)
    with closing(Server(site, "127.0.0.1", 0)) as server, browser(tmp_path / "profile") as chromium:
        backs = set()
        for name, width, mode in product(pages, (390, 1280), ("light", "dark")):
            chromium.look(width=width, mode=mode)
            chromium.open(server.url + name)
            chromium.picture(pictures / f"{name}-{width}-{mode}.png")
            assert (pictures / f"{name}-{width}-{mode}.png").stat().st_size > 20_000
            chromium.ask(OPEN)
            assert chromium.ask(STYLED) == "12px", "the policy keeps its own style out"
            assert chromium.ask(CONTRAST) == []
            assert chromium.ask(CUT_OFF) == []
            backs.add(chromium.ask(DARK))
            if mode == "dark" and width > 1000:
                _check_tree(chromium)
        assert len(backs) == 2
        assert [c for c in chromium.complaints() if "favicon" not in c] == []


def _shown():
    """Return pages with much on them: everything, waves of which one holds the rest, a replica that waits."""
    scene, follower = Scene().play(), Scene().play()
    holder = "ipsync-0.ipsync.production.svc.cluster.local_5c1e07d2"
    follower.keeper(Leadership(False, "ipsync/ipsync-acme-prod-leader", holder), None)
    held = waves.stage(waves.A, waves=(*waves.WAVES, Wave("late")), targets=TARGETS)
    held.vendor.ends = [
        Result("failed", failed=("The start page", "Check-out"), detail=HINT, url=f"https://app.qa.tech/{'r' * 60}")
    ]
    held.cloud.groups["aws/1/eu-north-1/sg-3"] = {}
    ledger = Ledger(held.config, clock=lambda: held.now)
    keeper = Keeper(held.config, ledger, again="ipsync sync -c /etc/ipsync/ipsync.yaml", clock=lambda: held.now)
    held.watched(ledger, keeper)
    return {"status": scene.keeper, "waves": keeper, "follower": follower.keeper}


def _check_tree(chromium) -> None:
    """What a screen reader hears: one title, headings that skip no level, and a name for whatever can be reached."""
    levels = chromium.ask(LEVELS)
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    nodes = [n for n in chromium.devtools("Accessibility.getFullAXTree")["nodes"] if not n.get("ignored")]
    named = {"link", "heading", "region", "table", "article", "button", "DisclosureTriangle"}
    nameless = [n["role"]["value"] for n in nodes if n["role"]["value"] in named and not n["name"]["value"]]
    assert nameless == []
    assert {"banner", "main", "contentinfo"} <= {n["role"]["value"] for n in nodes}
