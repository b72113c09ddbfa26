"""The parties of a call: from its participants, or from the headers when there are none; their numbers, names and roles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import repeat

from callward.siprec.addresses import number_of, same_address, same_number, user_of
from callward.siprec.dialects.cisco import PARTICIPANT_HEADER, bridged_party, forked_parties
from callward.siprec.dialects.hints import Hints
from callward.siprec.extension_reading import as_tree
from callward.siprec.history import CallHistory, Member
from callward.siprec.identifiers import identity_key
from callward.siprec.metadata import NameId
from callward.siprec.observation import Address, Observation
from callward.siprec.picture import CallDirection, PictureParty, Role

_NO_CALL = frozenset({"OPTIONS", "REGISTER", "INFO", "MESSAGE", "SUBSCRIBE", "NOTIFY"})
_NO_NAMES = frozenset({"", "unknown", "anonymous", "unavailable", "null", "none"})


def parties_of(call: CallHistory, hints: Hints, opening: Observation) -> tuple[PictureParty, ...]:
    """Parties with their roles, in order of appearance."""
    members = tuple(member for member in call.members if member.key not in hints.not_parties)
    parties = tuple(_named(_party(member), opening) for member in members)
    parties = _with_numbers(parties, hints, opening)
    return _with_recorded(_with_roles(parties, hints), hints)


def parties_of_headers(opening: Observation) -> tuple[PictureParty, ...]:
    """Without metadata the headers may be all there is (Cisco's other ways of recording, lost metadata)."""
    if opening.method in _NO_CALL:
        return ()
    if forked := forked_parties(opening.headers.get(PARTICIPANT_HEADER, "")):
        return tuple(
            PictureParty(f"party-{place}", party.aor, number=number_of(party.aor), role=role)
            for place, (party, role) in enumerate(zip(forked, _roles_in_order(), strict=False))
        )
    if (side := bridged_party(opening.from_.uri)) is not None:
        return (PictureParty("caller", side.aor, _name(opening.from_.name), number_of(side.aor)),)
    parties = []
    # RFC 7866 puts the recording client and the recorder into From and To; others put the parties there.
    is_client = "+sip.src" in opening.contact_parameters
    for role, address in ((Role.CALLER, opening.from_), (Role.CALLED, opening.to)):
        number = number_of(address.uri)
        if number or (role is Role.CALLER and user_of(address.uri) and not is_client):
            parties.append(PictureParty(role.value, address.uri, _name(address.name), number, role))
    return tuple(parties)


def _roles_in_order() -> Iterator[Role]:
    yield Role.CALLER
    yield Role.CALLED
    yield from repeat(Role.OTHER)


def direction_of(parties: tuple[PictureParty, ...], hints: Hints) -> CallDirection:
    """Seen from the recorded line."""
    if hints.direction:
        return CallDirection(hints.direction)
    recorded = [party.role for party in parties if party.recorded]
    if len(recorded) > 1:
        return CallDirection.INTERNAL
    if recorded and recorded[0] is not Role.OTHER:
        return CallDirection.OUT if recorded[0] is Role.CALLER else CallDirection.IN
    return CallDirection.UNKNOWN


def with_role(parties: tuple[PictureParty, ...], role: Role) -> PictureParty | None:
    return next((party for party in parties if party.role is role), None)


def _party(member: Member) -> PictureParty:
    name = _best_name(member.participant.names)
    stays = tuple((stay.joined_at, stay.left_at) for stay in member.stays)
    return PictureParty(
        id=member.key,
        aor=name.aor,
        name=_name(name.name),
        number=number_of(name.aor),
        joined_at=stays[0][0],
        left_at=stays[-1][1],
        stays=stays,
        extensions=as_tree(member.participant.extensions),
    )


def _named(party: PictureParty, opening: Observation) -> PictureParty:
    """A header may know the name of a party that the metadata only gives an address of."""
    for address in (opening.from_, opening.to):
        if not party.name and address.name and same_address(party.aor, address.uri):
            return replace(party, name=_name(address.name))
    return party


def _best_name(names: tuple[NameId, ...]) -> NameId:
    """The first address; its number and name from the others where it has none."""
    if not names:
        return NameId("")
    best = next((name for name in names if name.aor), names[0])
    if not number_of(best.aor):
        best = next((name for name in names if number_of(name.aor)), best)
    if not best.name and len(names) > 1:
        best = replace(best, name=next((name.name for name in names if name.name), ""))
    return best


def _with_numbers(parties: tuple[PictureParty, ...], hints: Hints, opening: Observation) -> tuple[PictureParty, ...]:
    """Where the addresses are opaque (Webex), numbers come from From and from the hints, as far as it is clear whose they are."""
    if all(party.number for party in parties):
        return parties
    candidates = {number for text in (hints.caller, hints.called) if (number := number_of(text))}
    known = {party.number for party in parties if party.number}
    if not candidates and hints.recorded and (of_from := number_of(opening.from_.uri)):
        candidates = {of_from}
    free = [number for number in candidates if not any(same_number(number, other) for other in known)]
    own = _own_number(opening.from_, hints)
    changed = []
    for party in parties:
        number = party.number
        if not number and _is_recorded(party, hints) and own:
            number = own
            free = [other for other in free if not same_number(other, number)]
        changed.append(replace(party, number=number))
    # The numbers are those of the two who began the call; who joined later has none here.
    without = [place for place, party in enumerate(changed[:2]) if not party.number]
    if len(free) == 1 and len(without) == 1:
        changed[without[0]] = replace(changed[without[0]], number=free[0])
    return tuple(changed)


def _own_number(from_: Address, hints: Hints) -> str:
    """Number of the recorded line: by the direction, else of From."""
    by_direction = {"out": hints.caller, "in": hints.called}.get(hints.direction, "")
    return number_of(by_direction) or number_of(from_.uri)


def _with_roles(parties: tuple[PictureParty, ...], hints: Hints) -> tuple[PictureParty, ...]:
    caller = _find(parties, hints.caller)
    called = _find(parties, hints.called)
    if called == caller:
        called = -1
    if len(parties) == 2:
        # One of two is known: the other one is the other one.
        if caller < 0 <= called:
            caller = 1 - called
        elif called < 0 <= caller:
            called = 1 - caller
    if caller < 0 and called < 0 and len(parties) > 1:
        # The order of the document: clients describe the caller first.
        caller, called = 0, 1
    roles = {caller: Role.CALLER, called: Role.CALLED}
    return tuple(
        party if party.role is (role := roles.get(index, Role.OTHER)) else replace(party, role=role)
        for index, party in enumerate(parties)
    )


def _find(parties: tuple[PictureParty, ...], told: str) -> int:
    if not told:
        return -1
    key, number = identity_key(told), number_of(told)
    for index, party in enumerate(parties):
        if party.id == key or same_address(party.aor, told) or (number and same_number(party.number, number)):
            return index
    return -1


def _with_recorded(parties: tuple[PictureParty, ...], hints: Hints) -> tuple[PictureParty, ...]:
    if hints.recorded and hints.direction in ("in", "out") and not any(_is_recorded(party, hints) for party in parties):
        wanted = Role.CALLER if hints.direction == "out" else Role.CALLED
        return tuple(_recorded_or_not(party, party.role is wanted) for party in parties)
    return tuple(_recorded_or_not(party, _is_recorded(party, hints)) for party in parties)


def _recorded_or_not(party: PictureParty, recorded: bool) -> PictureParty:
    return party if party.recorded is recorded else replace(party, recorded=recorded)


def _is_recorded(party: PictureParty, hints: Hints) -> bool:
    """By participant id, address, number, or an opaque user id without its host (Webex)."""
    if not hints.recorded:
        return False
    user = user_of(party.aor)
    same_user = bool(user) and not party.number and user == user_of(hints.recorded)
    return party.id == hints.recorded or same_user or same_address(party.aor, hints.recorded)


def _name(text: str) -> str:
    name = text.strip("\"' ")
    return "" if name.lower() in _NO_NAMES else name
