"""S13, S14: a complete document and the partial ones after it say the same as one complete document at the end."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from hypothesis import given
from hypothesis import strategies as st

from callward.siprec.picturing import picture
from tests.siprec.documents import document, heard, member, participant, seen, session, stream, told

SESSION = "S"
LEFT = "2026-03-02T09:00:00Z"


@dataclass(frozen=True)
class Truth:
    """What is really so: who is in the call under which address, and which streams each one sends."""

    aors: dict[str, str] = field(default_factory=dict)
    sends: dict[str, tuple[str, ...]] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)

    def complete(self) -> bytes:
        inner = session(SESSION) + "".join(stream(id_, SESSION, label) for id_, label in self.labels.items())
        for who, aor in self.aors.items():
            inner += participant(who, aor) + member(who, SESSION) + heard(who, self.sends.get(who, ()))
        return document(inner)


CHANGES = st.one_of(
    st.tuples(st.just("join"), st.sampled_from("ABCDE"), st.sampled_from(["sip:1@x", "sip:2@x"])),
    st.tuples(st.just("leave"), st.sampled_from("ABCDE"), st.just("")),
    st.tuples(st.just("rename"), st.sampled_from("ABCDE"), st.sampled_from(["sip:8@x", "sip:9@x"])),
    st.tuples(st.just("send"), st.sampled_from("ABCDE"), st.sampled_from(["", "1", "2", "12"])),
    st.tuples(st.just("label"), st.sampled_from("12"), st.sampled_from(["a", "b"])),
)


def changed(truth: Truth, kind: str, who: str, value: str) -> tuple[Truth, str]:
    """The truth after a change, and the inside of the partial document that tells it."""
    if kind == "label":
        labels = {**truth.labels, f"T{who}": f"{value}{who}"}
        return replace(truth, labels=labels), stream(f"T{who}", SESSION, labels[f"T{who}"])
    present = who in truth.aors
    if kind == "join" and not present:
        joined = replace(truth, aors={**truth.aors, who: value}, sends={**truth.sends, who: ()})
        return joined, participant(who, value) + member(who, SESSION) + heard(who)
    if kind == "leave" and present:
        aors = {key: aor for key, aor in truth.aors.items() if key != who}
        sends = {key: ids for key, ids in truth.sends.items() if key != who}
        return replace(truth, aors=aors, sends=sends), member(who, SESSION, LEFT) + heard(who)
    if kind == "rename" and present:
        return replace(truth, aors={**truth.aors, who: value}), participant(who, value)
    if kind == "send" and present:
        ids = tuple(f"T{digit}" for digit in value)
        return replace(truth, sends={**truth.sends, who: ids}), heard(who, ids)
    return truth, ""


@given(st.lists(CHANGES, max_size=12))
def test_s13_s14_complete_and_partials_equal_the_final_complete(changes: list[tuple[str, str, str]]) -> None:
    truth = Truth({"A": "sip:1@x", "B": "sip:2@x"}, {"A": ("T1",), "B": ("T2",)}, {"T1": "a1", "T2": "a2"})
    observations = [seen(metadata=truth.complete())]
    for kind, who, value in changes:
        truth, inner = changed(truth, kind, who, value)
        observations.append(seen(metadata=document(inner, "partial")))
    merged, whole = picture(told(*observations)), picture(told(seen(metadata=truth.complete())))

    def present(found: object) -> set[tuple[str, str]]:
        return {(party.id, party.aor) for party in found.parties if party.left_at is None}  # type: ignore[attr-defined]

    assert present(merged) == present(whole) == set(truth.aors.items())
    assert {s.label for s in merged.streams} == {s.label for s in whole.streams} == set(truth.labels.values())
    said = {label: {who for who, ids in truth.sends.items() if id_ in ids} for id_, label in truth.labels.items()}
    if any(said.values()):  # on a hold the streams keep the parties they had (S24)
        for label, senders in said.items():
            if senders:
                assert next(set(s.parties) for s in merged.streams if s.label == label) == senders
