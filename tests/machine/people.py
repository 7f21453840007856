"""What people and other programs do to the clouds by hand: strange rules, strange tags and descriptions, quotas."""

from __future__ import annotations

from dataclasses import replace

from factory import HTTPS, RULE

from ipsync.core.model import Entry, ManagedList, Network, Service
from machine.operator import OTHER_GROUP
from machine.world import World
from proof.referee.marks import of_description, of_prefix_list

TAGS = [
    {},
    {"ipsync:owner": "acme"},
    {"ipsync:owner": "acme", "ipsync:target": "", "ipsync:feed": "qatech"},
    {"ipsync:owner": "acme", "ipsync:target": "somewhere", "ipsync:feed": "qatech"},
    {"ipsync:owner": "acme", "ipsync:target": "web", "ipsync:feed": "qatech", "ipsync:leaving-since": "yesterday"},
    {"ipsync:owner": "acme", "ipsync:target": "ops", "ipsync:feed": "static"},
    {"ipsync:owner": "globex", "ipsync:target": "web", "ipsync:feed": "qatech"},
    {"ipsync:target": "web", "ipsync:feed": "qatech"},
]
"""What a rule's tags may say, the owner's name among it: hand-made, cut short, another's."""
TEXTS = [
    "made by hand",
    "ipsync",
    "ipsync ",
    "ipsync owner=acme",
    "ipsync owner=acme feed=qatech",
    "ipsync owner=acme target=",
    "ipsync owner=acme target=somewhere feed=qatech",
    "ipsync owner=acme target=edge",
    "ipsync owner=acme target=edge,side feed=qatech,uptime static=9.9.9.9 leaving=8.8.1.1@2026-01-01T00:00:00Z",
    "ipsync owner=acme target=edge leaving=@",
    "ipsync owner=acme target=edge leaving=8.8.1.1",
    "ipsync owner=acme target=edge leaving=8.8.1.1@never;;@",
    "ipsync owner= target=edge",
    "ipsync owner=globex target=edge feed=qatech",
    "ipsync target=edge feed=qatech owner",
    "ipsync = = owner=acme\ttarget=edge",
    "IPSYNC owner=acme target=edge",
    "ipsync owner=acme target=edge feed=qatech \u202e\u0007 \x1b[2J",
    "",
]
"""What a description may say: ours, others', hand-made, cut short, with what no terminal should get."""
NAMES = ["allow-qatech", "allow-qatech-v6", "allow-qatech-2", "allow-qatech-3", "allow-qatech-v6-2", "allow-cdn", "ssh"]
SETTINGS = (("network", "default"), ("ports", "443/tcp"), ("priority", "1000"))
PLAIN = (*SETTINGS, ("target_service_accounts", ""), ("target_tags", ""))


WORDS = [
    "by hand",
    "ipsync owner=acme",
    "ipsync owner=acme target=lists feed=qatech",
    "ipsync owner=acme target=listed feed=static",
    "ipsync owner=acme target=somewhere feed=qatech",
    "ipsync owner=acme owner=acme target=lists",
    "ipsync owner=globex target=lists feed=qatech",
    "",
]
"""What the description of a prefix list's entry may say."""


def add_entry(world: World, resource: str, network: Network, text: str) -> None:
    """Add an entry to a prefix list, or describe one anew; a list holds one family, and somebody's size."""
    world.edit()
    made, held = world.cloud.prefixes[resource], world.cloud.groups[resource]
    entry = Entry(network, None, (("description", text),))
    if made.family == network.version and (len(held) < made.most or str(network) in held):
        world.cloud.put(resource, entry)


def resize_list(world: World, resource: str, most: int) -> None:
    """Make a prefix list larger or smaller, as small as what it holds lets it be."""
    world.edit()
    held = len(world.cloud.groups[resource])
    world.cloud.prefixes[resource] = replace(world.cloud.prefixes[resource], most=max(held, most))


def hinder_prefix_list(world: World, resource: str) -> None:
    """Give a prefix list to somebody else, or take it back."""
    world.edit()
    if not world.cloud.conflicts.pop(resource, ""):
        world.cloud.conflicts[resource] = f"{resource} is kept for another owner"


def add_rule(world: World, group: str, network: Network, tags: dict[str, str], *, wide: bool) -> None:
    """Add a rule to a group; EC2 takes no rule twice."""
    world.edit()
    entry = Entry(network, Service("all") if wide else HTTPS, tuple(sorted({"description": "by hand", **tags}.items())))
    if entry not in world.cloud.groups[group].values():
        world.cloud.put(group, entry)


def remove_rule(world: World, group: str, number: int) -> None:
    """Remove some rule of a group."""
    handles = sorted(world.cloud.groups[group])
    if handles:
        world.edit()
        del world.cloud.groups[group][handles[number % len(handles)]]


def retag_rule(world: World, group: str, number: int, tags: dict[str, str]) -> None:
    """Give some rule of a group other tags."""
    handles = sorted(world.cloud.groups[group])
    if handles:
        world.edit()
        held = world.cloud.groups[group][handles[number % len(handles)]]
        note = tuple(sorted({"description": "by hand", **tags}.items()))
        world.cloud.groups[group][held.provider_id] = replace(held, note=note)


def make_list(world: World, name: str, network: Network, text: str) -> None:
    """Make a firewall rule where a rule of ours may be wanted."""
    full = f"{RULE.rpartition('/')[0]}/{name}"
    if full not in world.cloud.lists and ("-v6" in name) == (network.version == 6):
        world.edit()
        world.cloud.lists[full] = ManagedList(name, (network,), (("description", text),), PLAIN)


def edit_list(world: World, number: int, network: Network) -> None:
    """Add a source to some rule, or take one out."""
    names = sorted(world.cloud.lists)
    if not names:
        return
    managed = world.cloud.lists[names[number % len(names)]]
    changed = set(managed.networks) ^ {network}
    if changed and len({n.version for n in changed}) == 1:
        world.edit()
        world.cloud.lists[names[number % len(names)]] = replace(managed, networks=tuple(sorted(changed)))


def describe_list(world: World, number: int, text: str) -> None:
    """Write something else into some rule's description."""
    names = sorted(world.cloud.lists)
    if names:
        world.edit()
        name = names[number % len(names)]
        world.cloud.lists[name] = replace(world.cloud.lists[name], note=(("description", text),))


def delete_list(world: World, number: int) -> None:
    """Delete some rule."""
    names = sorted(world.cloud.lists)
    if names:
        world.edit()
        del world.cloud.lists[names[number % len(names)]]


def hinder_list(world: World, number: int) -> None:
    """Disable some rule, or enable it again."""
    names = sorted(world.cloud.lists)
    if names:
        world.edit()
        name = names[number % len(names)]
        if name in world.cloud.conflicts:
            del world.cloud.conflicts[name]
        else:
            world.cloud.conflicts[name] = f"rule {name} is disabled"


def tag_group(world: World, group: str) -> None:
    """Give a group the tags that a target looks for, or take them off."""
    world.edit()
    tagged = bool(world.cloud.tags.get(group))
    world.cloud.tags[group] = {} if tagged else {"tier": "web"}


def tidy_up(world: World) -> None:
    """Take away what people made and what is nobody's, so that nothing but ipsync is left to put all right."""
    world.edit()
    cloud, config = world.cloud, world.stages["ours"].config
    cloud.conflicts.clear()
    cloud.quota, cloud.rules = 60, 100
    cloud.prefixes = {r: replace(made, most=100) for r, made in cloud.prefixes.items()}
    cloud.tags[OTHER_GROUP] = {"tier": "web"}
    names = {t.name for t in config.targets}
    for group, rules in cloud.groups.items():
        cloud.groups[group] = {h: e for h, e in rules.items() if names & _marked_for(dict(e.note))}
    for full, managed in list(cloud.lists.items()):
        marks = [of_description(dict(managed.note).get("description", ""), n) for n in managed.networks]
        if not all(m and m.owner == config.owner and m.targets & names for m in marks) or _tagged(managed):
            del cloud.lists[full]


def _marked_for(note: dict[str, str]) -> set[str]:
    """Return the target that an entry is for; of a prefix list's, its description says so until a tag does."""
    mark = of_prefix_list(note.get("description", ""), note.get("ipsync:target"), None, None)
    return set(mark.targets if mark and mark.owner == "acme" else ()) | {note.get("ipsync:target", "")}


def _tagged(managed: ManagedList) -> bool:
    """Tell whether a rule has tags, which can't be taken off again."""
    return bool(dict(managed.settings).get("target_tags"))
